"""Writes records into a store."""

from collections import defaultdict
from collections.abc import Sequence

from app.store.connection import Argument
from app.store.transfer.nodes import Nodes
from app.store.transfer.record import STATE, Record, raw

WRITE = """#!lua flags=allow-cross-slot-keys
local command = {string = 'SET', hash = 'HSET', set = 'SADD', zset = 'ZADD', list = 'RPUSH'}
local i = 1
while i <= #ARGV do
  local key, kind, expires, first, last = ARGV[i], ARGV[i + 1], ARGV[i + 2], i + 4, i + 3 + tonumber(ARGV[i + 3])
  if kind == 'stream' then
    local at = first
    while at < last do
      local texts = tonumber(ARGV[at + 1])
      redis.call('XADD', key, ARGV[at], unpack(ARGV, at + 2, at + 1 + texts))
      at = at + 2 + texts
    end
  else
    redis.call(command[kind], key, unpack(ARGV, first, last))
  end
  if expires ~= '-1' then redis.call('PEXPIREAT', key, expires) end
  i = last + 1
end
"""


async def write(nodes: Nodes, records: Sequence[Record]) -> None:
    """Writes records that follow each other, each node's in one script. Raises StoreUnavailable, ResponseError."""
    batches: defaultdict[str, list[Argument]] = defaultdict(list)
    states = []
    for record in records:
        key, *values = raw([record.key, *record.values])
        if record.position == STATE:
            states.append((key, values, record.expires))
        else:
            batches[nodes.of(key)] += [key, record.kind, record.expires, len(values), *values]
    for node, batch in batches.items():
        await nodes.ask(node, "EVAL", WRITE, 0, *batch)
    for key, values, expires in states:
        await _write_state(nodes, key, values, expires)


async def _write_state(nodes: Nodes, key: bytes, values: list[bytes], expires: int) -> None:
    """Restores a stream's last id, and its groups with their pending entries."""
    node = nodes.of(key)
    last, added, deleted, *groups = values
    if not await nodes.ask(node, "EXISTS", key):
        await nodes.ask(node, "XGROUP", "CREATE", key, "empty", "0", "MKSTREAM")
        await nodes.ask(node, "XGROUP", "DESTROY", key, "empty")
    await nodes.ask(node, "XSETID", key, last, "ENTRIESADDED", added, "MAXDELETEDID", deleted)
    while groups:
        length = int(groups[0])
        verb, *rest = groups[1 : 1 + length]
        command = ("XCLAIM", key) if verb == b"CLAIM" else ("XGROUP", verb, key)
        await nodes.ask(node, *command, *rest)
        del groups[: 1 + length]
    if expires >= 0:
        await nodes.ask(node, "PEXPIREAT", key, expires)
