"""Pushed messages: each is stored once, as an event, and listed with its outcome among the last ones."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.accounts.secret import digest
from app.events.catalogue import WechatMessage
from app.events.event import Record, new_record
from app.events.stream import RAISE
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.hashes import set_if_exists
from app.store.keys import wechat as wechat_keys
from app.store.scripts import Script

REPEAT_SECONDS = 600
"""Seconds for which a repeated message is dropped."""
MAX_LISTED = 200
MESSAGE = wechat_keys.wechat_message("")

# A retry after a lost reply finds the message with its own id.
ADD = Script(
    RAISE
    + f"""
local seen, stream, list, message = unpack(KEYS)
local id, seconds, record = unpack(ARGV, 1, 3)
local first = redis.call('GET', seen)
if first then
  if first == id then return 1 end
  local known = '{MESSAGE}' .. first
  if redis.call('EXISTS', known) == 1 then redis.call('HINCRBY', known, 'repeats', 1) end
  return 0
end
redis.call('SET', seen, id, 'EX', seconds)
raise_event(stream, record)
redis.call('HSET', message, unpack(ARGV, 4))
if redis.call('LPUSH', list, id) > {MAX_LISTED} then
  redis.call('DEL', '{MESSAGE}' .. redis.call('RPOP', list))
end
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. `outcome` is one of OUTCOMES; `repeats` counts dropped repeats."""

    id: str
    account: str
    kind: str
    at: float
    outcome: str
    repeats: int


class Messages:
    """Raises StoreUnavailable."""

    def __init__(self, store: Store, encryption: Encryption, clock: Callable[[], float]) -> None:
        self._store = store
        self._encryption = encryption
        self._clock = clock

    async def add(self, identity: str, event: WechatMessage) -> Record | None:
        """Stores the message. Returns None for a repeat, which is not stored."""
        made = new_record(event, self._clock)
        record = Record(made.id, made.type, made.at, event.model_dump())  # whole: cut, the XML would be none
        touched = [wechat_keys.wechat_seen(digest(identity)), keys.raised("wechat"), wechat_keys.WECHAT_MESSAGES]
        fields = (
            "account", event.account, "kind", kind_of(event.message), "at", repr(record.at),
            "xml", self._encryption.encrypt(event.xml.encode()),
        )  # fmt: skip
        names = [*touched, wechat_keys.wechat_message(record.id)]
        added = await ADD.run(self._store, names, record.id, REPEAT_SECONDS, record.dump(), *fields)
        return record if added else None

    async def set_outcome(self, message_id: str, outcome: str) -> None:
        await set_if_exists(self._store, wechat_keys.wechat_message(message_id), "outcome", outcome)

    async def last(self) -> list[Message]:
        ids = await self._store.idempotent("LRANGE", wechat_keys.WECHAT_MESSAGES, 0, MAX_LISTED - 1)
        found = await asyncio.gather(*(self.get(message_id.decode()) for message_id in ids))
        return [message for message in found if message is not None]

    async def get(self, message_id: str) -> Message | None:
        names = ("account", "kind", "at", "outcome", "repeats")
        values = await self._store.idempotent("HMGET", wechat_keys.wechat_message(message_id), *names)
        account, kind, at, outcome, repeats = (value.decode() if value else "" for value in values)
        if not at:
            return None
        return Message(message_id, account, kind, float(at), outcome, int(repeats or 0))

    async def content(self, message_id: str) -> str:
        """The message's XML; empty if it is gone."""
        sealed = await self._store.idempotent("HGET", wechat_keys.wechat_message(message_id), "xml")
        return ((self._encryption.decrypt(sealed) if sealed else None) or b"").decode()


def kind_of(fields: Mapping[str, str]) -> str:
    """`text`, `image` ..., or the name of an event."""
    return (fields.get("Event") or fields.get("MsgType") or "unknown")[:64]
