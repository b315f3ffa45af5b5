"""Writes records into a store."""

from app.store.connection import Argument
from app.store.transfer.nodes import Nodes
from app.store.transfer.record import STATE, Record

BATCH = 500
BATCH_BYTES = 1_000_000
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


class Writer:
    """Collects records into batches, one for each node. Every method raises StoreUnavailable, ResponseError."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._batches: dict[str, list[Argument]] = {}
        self._records = self._bytes = 0

    async def add(self, record: Record) -> None:
        node = self._nodes.of(record.key)
        if record.position == STATE:
            await self.flush()
            await self._write_state(node, record)
            return
        batch = self._batches.setdefault(node, [])
        batch += [record.key, record.kind, record.expires, len(record.values), *record.values]
        self._records += 1
        self._bytes += sum(map(len, record.values))
        if self._records >= BATCH or self._bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        for node, batch in self._batches.items():
            await self._nodes.ask(node, "EVAL", WRITE, 0, *batch)
        self._batches, self._records, self._bytes = {}, 0, 0

    async def _write_state(self, node: str, record: Record) -> None:
        """Restores a stream's last id, and its groups with their pending entries."""
        last, added, deleted, *groups = record.values
        key = record.key
        if not await self._nodes.ask(node, "EXISTS", key):
            await self._nodes.ask(node, "XGROUP", "CREATE", key, "empty", "0", "MKSTREAM")
            await self._nodes.ask(node, "XGROUP", "DESTROY", key, "empty")
        await self._nodes.ask(node, "XSETID", key, last, "ENTRIESADDED", added, "MAXDELETEDID", deleted)
        while groups:
            length = int(groups[0])
            verb, *rest = groups[1 : 1 + length]
            command = ("XCLAIM", key) if verb == b"CLAIM" else ("XGROUP", verb, key)
            await self._nodes.ask(node, *command, *rest)
            del groups[: 1 + length]
        if record.expires >= 0:
            await self._nodes.ask(node, "PEXPIREAT", key, record.expires)
