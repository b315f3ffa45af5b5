"""Objects that are stored as JSON. Pure."""

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar


class Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


D = TypeVar("D", bound=Dataclass)


def from_stored(cls: type[D], stored: Mapping[str, Any]) -> D:
    """The object of stored fields, without those that this version does not know: during a rolling update, and after a
    rollback, an older version reads what a newer one has written.
    """
    known = {each.name for each in fields(cls)}
    return cls(**{name: value for name, value in stored.items() if name in known})
