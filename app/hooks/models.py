"""Webhooks and their deliveries. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum, auto
from typing import Any, Self

import orjson

from app.events.event import Record
from app.store.records import from_stored

MAX_WEBHOOKS = 200
MAX_URL = 2000


class State(StrEnum):
    PENDING = auto()
    DELIVERED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Webhook:
    """`secret` and `old_secret` are encrypted. `off_why` is the reason if the service disabled it."""

    id: str
    url: str
    events: tuple[str, ...]
    owner: str
    created: float
    secret: str
    old_secret: str = ""
    enabled: bool = True
    off_why: str = ""
    wechat: tuple[str, ...] = ()
    reply: bool = False

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, text: bytes) -> Self:
        fields = orjson.loads(text)
        return from_stored(cls, fields | {"events": tuple(fields["events"]), "wechat": tuple(fields["wechat"])})

    def wants(self, event: str, data: Mapping[str, Any]) -> bool:
        """Whether the event is for this webhook. `*` stands for all events but tests."""
        if event not in self.events and ("*" not in self.events or event == "webhook.test"):
            return False
        return event != "wechat.message" or not self.wechat or data.get("account") in self.wechat


@dataclass(frozen=True, slots=True)
class Attempt:
    """`status` is None without a response; `body` is the first KB."""

    at: float
    status: int | None
    ms: int
    headers: dict[str, str]
    body: str

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """`id` is the event's id, the `webhook-id` of every attempt."""

    id: str
    event: str
    sequence: int
    state: str
    attempts: tuple[Attempt, ...]
    next_at: float | None = None
    body: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker has leased; `record` is the stored event."""

    webhook: str
    sequence: int
    tries: int
    record: bytes


def body_of(record: Record, sequence: int) -> bytes:
    fields = {"type": record.type, "timestamp": record.timestamp, "sequence": sequence, "data": record.data}
    return orjson.dumps(fields)
