"""The base of all events: a type, data with a schema and an example, and the record that is stored."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, Self, Unpack

import orjson
from pydantic import BaseModel, ConfigDict

MAX_TEXT = 2000
"""Characters of one text of an event: a body stays below the 20 KB of the Standard Webhooks specification."""


class Event(BaseModel):
    """Something that happened. Its fields are the event's data; none holds a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: ClassVar[str] = ""

    def __init_subclass__(cls, *, type: str = "", **config: Unpack[ConfigDict]) -> None:  # noqa: A002
        super().__init_subclass__(**config)
        cls.type = type

    @classmethod
    def schema_of_data(cls) -> dict[str, Any]:
        schema = cls.model_json_schema()
        schema.pop("title", None)
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
            field.pop("examples", None)
        schema["description"] = cls.__doc__ or ""
        return schema

    @classmethod
    def example(cls) -> Self:
        """An event with the example of each field."""
        values = {name: (field.examples or [field.default])[0] for name, field in cls.model_fields.items()}
        return cls.model_validate(values)


class Outcome(NamedTuple):
    """What became of an event at one webhook: `pending`, `delivered` or `failed`, after so many attempts."""

    webhook: str
    state: str
    tries: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """An event that was raised: `id` is the same at every delivery, `at` is Unix seconds."""

    id: str
    type: str
    at: float
    data: dict[str, Any]

    @property
    def timestamp(self) -> str:
        """ISO 8601, in UTC, with milliseconds."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def dump(self) -> bytes:
        return orjson.dumps({"id": self.id, "type": self.type, "at": self.at, "data": self.data})

    @classmethod
    def load(cls, text: bytes) -> Self:
        """Raises ValueError, KeyError, TypeError for a text that is no record."""
        fields = orjson.loads(text)
        return cls(str(fields["id"]), str(fields["type"]), float(fields["at"]), dict(fields["data"]))


def new_record(event: Event, clock: Callable[[], float]) -> Record:
    """The record of an event that happens now. Long texts are cut."""
    data = {name: _bounded(value) for name, value in event.model_dump(mode="json").items()}
    return Record(f"evt_{secrets.token_hex(12)}", event.type, clock(), data)


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_TEXT].encode("utf-8", "replace").decode()
    return [_bounded(each) for each in value[:100]] if isinstance(value, list) else value
