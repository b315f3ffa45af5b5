"""Reads every key of a store as records."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.store.transfer.nodes import Nodes
from app.store.transfer.record import STATE, Record, texts

SCAN_KEYS = 500
PART = 1000
"""Elements of a key that are read at once; a larger key is read, and written to the file, in parts."""
PART_BYTES = 1_000_000
"""Bytes of values after which a batch ends."""
READ = """#!lua flags=no-writes,allow-cross-slot-keys
local part, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = {
  string = {'STRLEN', 'GET'}, hash = {'HLEN', 'HGETALL'}, set = {'SCARD', 'SMEMBERS'},
  zset = {'ZCARD', 'ZRANGE', '0', '-1', 'WITHSCORES'}, list = {'LLEN', 'LRANGE', '0', '-1'},
}
local found = {}
for i = 3, #ARGV do
  local key = ARGV[i]
  local kind = redis.call('TYPE', key).ok
  local values, how = false, whole[kind]
  if kind == 'string' then
    values = {redis.call('GET', key)}
  elseif how and redis.call(how[1], key) <= part then
    values = redis.call(how[2], key, unpack(how, 3))
  end
  for _, value in ipairs(values or {}) do room = room - #value end
  found[#found + 1] = {kind, redis.call('PEXPIRETIME', key), values}
  if room < 0 then break end
end
return found
"""
SCANS = {"hash": ("HSCAN", 2), "set": ("SSCAN", 1), "zset": ("ZSCAN", 2)}
"""The command that reads a part of a kind, and how many texts an element has."""


class UnknownKind(Exception):
    """A key's type is none of Redis' own."""


async def all_records(nodes: Nodes) -> AsyncIterator[list[Record]]:
    """Every key, a large one as several records, in batches. Raises StoreUnavailable, ResponseError, UnknownKind.

    One key is read at one moment where it is no larger than PART; different keys at different moments.
    """
    for node in nodes.names():
        cursor = b"0"
        while True:
            cursor, keys = await nodes.ask(node, "SCAN", cursor, "COUNT", SCAN_KEYS)
            async for records in _records_of(nodes, node, keys):
                yield records
            if cursor == b"0":
                break


async def _records_of(nodes: Nodes, node: str, keys: Sequence[bytes]) -> AsyncIterator[list[Record]]:
    done = 0
    while done < len(keys):
        found = await nodes.ask(node, "EVAL", READ, 0, PART, PART_BYTES, *keys[done:])
        records = []
        for key, (raw_kind, expires, values) in zip(keys[done:], found, strict=False):
            kind = raw_kind.decode()
            if values is not None:
                records.append(_record(key, kind, "", expires, values))
            elif kind != "none":
                async for part in _parts(nodes, node, key, kind, expires):
                    yield part
        yield records
        done += len(found)


def _record(key: bytes, kind: str, position: str, expires: int, values: list[bytes]) -> Record:
    return Record(key.decode("utf-8", "surrogateescape"), kind, position, expires, texts(_in_order(kind, values)))


async def _parts(nodes: Nodes, node: str, key: bytes, kind: str, expires: int) -> AsyncIterator[list[Record]]:
    if kind in SCANS:
        command, width = SCANS[kind]
        cursor = b"0"
        while True:
            cursor, flat = await nodes.ask(node, command, key, cursor, "COUNT", PART)
            elements = (flat[at : at + width] for at in range(0, len(flat), width))
            yield [_record(key, kind, "", expires, element) for element in elements]
            if cursor == b"0":
                return
    elif kind == "list":
        position = 0
        while values := await nodes.ask(node, "LRANGE", key, position, position + PART - 1):
            yield [_record(key, kind, f"{position:012}", expires, values)]
            position += PART
    elif kind == "stream":
        async for record in _stream(nodes, node, key, expires):
            yield [record]
    else:
        raise UnknownKind(f"the key {key.decode('utf-8', 'backslashreplace')} has the type {kind}")


async def _stream(nodes: Nodes, node: str, key: bytes, expires: int) -> AsyncIterator[Record]:
    first, part = b"-", 0
    while entries := await nodes.ask(node, "XRANGE", key, first, "+", "COUNT", PART):
        values = [text for name, texts in entries for text in (name, b"%d" % len(texts), *texts)]
        yield _record(key, "stream", f"{part:012}", expires, values)
        first, part = b"(" + entries[-1][0], part + 1
    info = await nodes.ask(node, "XINFO", "STREAM", key)
    groups = await nodes.ask(node, "XINFO", "STREAM", key, "FULL", "COUNT", 0) if info[b"groups"] else None
    state = [info[b"last-generated-id"], b"%d" % info[b"entries-added"], info[b"max-deleted-entry-id"]]
    yield _record(key, "stream", STATE, expires, [*state, *(_groups(groups) if groups else ())])


def _groups(full: dict[bytes, Any]) -> list[bytes]:
    """The commands that make the groups, flat: the number of a command's texts, and these, without the key.

    A pending entry that the stream has no more is left out: nobody could be given it again.
    """
    present = {entry[0] for entry in full[b"entries"]}
    flat: list[bytes] = []

    def add(*texts: bytes | int) -> None:
        flat.extend([b"%d" % len(texts), *(b"%d" % text if isinstance(text, int) else text for text in texts)])

    for group in sorted(full[b"groups"], key=lambda group: bytes(group[b"name"])):
        name, last, read = group[b"name"], group[b"last-delivered-id"], group[b"entries-read"]
        add(b"CREATE", name, last, *((b"ENTRIESREAD", read) if read is not None else ()))
        for consumer in sorted(group[b"consumers"], key=lambda consumer: bytes(consumer[b"name"])):
            add(b"CREATECONSUMER", name, consumer[b"name"])
        for entry, consumer, delivered, count in (pending for pending in group[b"pending"] if pending[0] in present):
            add(b"CLAIM", name, consumer, 0, entry, b"TIME", delivered, b"RETRYCOUNT", count, b"FORCE", b"JUSTID")
    return flat


def _in_order(kind: str, values: list[bytes]) -> list[bytes]:
    """The same order, and the same form of numbers, from every server."""
    if len(values) <= 1:
        return values
    if kind == "set":
        return sorted(values)
    if kind == "hash":
        return [text for pair in sorted(_pairs(values)) for text in pair]
    if kind == "zset":
        return [text for member, score in sorted(_pairs(values)) for text in (_number(score), member)]
    return values


def _pairs(values: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _number(score: bytes) -> bytes:
    number = float(score)
    return b"%d" % number if number.is_integer() and abs(number) < 2**53 else repr(number).encode()
