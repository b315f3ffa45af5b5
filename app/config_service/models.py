"""A namespace and its history. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

import orjson

NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
KEY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_-])?")
MAX_KEYS = 10_000
MAX_VALUE_BYTES = 256 * 1024
MAX_NAMESPACE_BYTES = 4 * 1024 * 1024
MAX_WHY = 500
OWN = "tallygate"
"""The namespace of Tallygate's own settings."""


class Role(IntEnum):
    NONE = 0
    READ = 1
    WRITE = 2
    MANAGE = 3


ROLES: Mapping[str, Role] = {role.name.lower(): role for role in Role if role}


@dataclass(frozen=True, slots=True)
class Right:
    """A caller's role in a namespace, and whether its secrets are shown."""

    role: Role = Role.NONE
    secrets: bool = False

    @classmethod
    def of(cls, role: str, secrets: bool | None = None) -> Self:
        """Managers see secrets by default."""
        right = ROLES[role]
        return cls(right, right is Role.MANAGE if secrets is None else secrets)

    def dump(self) -> dict[str, object]:
        return {"role": self.role.name.lower(), "secrets": self.secrets}


@dataclass(frozen=True, slots=True)
class Item:
    """A key's value; a secret's value is its ciphertext."""

    value: Any
    secret: bool = False

    def dump(self) -> list[Any]:
        return [self.value, int(self.secret)]

    @classmethod
    def load(cls, fields: list[Any]) -> Self:
        return cls(fields[0], bool(fields[1]))


Items = Mapping[str, Item]


@dataclass(frozen=True, slots=True)
class Change:
    """One key's change; `before` or `after` is None where the key is absent."""

    key: str
    before: Item | None
    after: Item | None

    def dump(self) -> list[Any]:
        return [self.key, *(item.dump() if item is not None else None for item in (self.before, self.after))]

    @classmethod
    def load(cls, fields: list[Any]) -> Self:
        before, after = (Item.load(each) if each is not None else None for each in fields[1:3])
        return cls(fields[0], before, after)


@dataclass(frozen=True, slots=True)
class Version:
    """`by` is the id of a user, or `service:<name>`; `at` is Unix seconds."""

    version: int
    by: str
    at: float
    why: str
    changes: tuple[Change, ...]

    def dump(self) -> bytes:
        fields = [self.by, self.at, self.why, [change.dump() for change in self.changes]]
        return orjson.dumps(fields)

    @classmethod
    def load(cls, version: int, text: bytes) -> Self:
        by, at, why, changes = orjson.loads(text)
        return cls(version, by, at, why, tuple(Change.load(each) for each in changes))


@dataclass(frozen=True, slots=True)
class Namespace:
    """`revision` counts every write, `version` those of values."""

    name: str
    version: int
    revision: int
    items: Items
    schema: Any = None
    require_if_match: bool = False
    access: Mapping[str, Right] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()
    """Keys that are or were secret: they stay secret when they are removed and set again."""

    @property
    def tags(self) -> tuple[str, str]:
        """The entity tags of the values, and of the schema and the access."""
        return str(self.version), f"{self.version}.{self.revision}"

    @classmethod
    def from_hash(cls, name: str, fields: Mapping[bytes, bytes]) -> Self:
        items = orjson.loads(fields[b"items"])
        access = orjson.loads(fields[b"access"])
        return cls(
            name=name,
            version=int(fields[b"version"]),
            revision=int(fields[b"revision"]),
            items={key: Item.load(item) for key, item in items.items()},
            schema=orjson.loads(fields[b"schema"]),
            require_if_match=fields[b"require_if_match"] == b"1",
            access={user: Right.of(**fields) for user, fields in access.items()},
            secret_keys=frozenset(orjson.loads(fields[b"secret_keys"])),
        )

    def to_hash(self) -> list[str | bytes]:
        """Field, value, field, value ..."""
        return [
            "version", str(self.version),
            "revision", str(self.revision),
            "items", orjson.dumps({key: item.dump() for key, item in self.items.items()}),
            "schema", orjson.dumps(self.schema),
            "require_if_match", str(int(self.require_if_match)),
            "access", orjson.dumps({user: right.dump() for user, right in self.access.items()}),
            "secret_keys", orjson.dumps(sorted(self.secret_keys)),
        ]  # fmt: skip


def difference(before: Items, after: Items) -> tuple[Change, ...]:
    """The changes that lead from one to the other, by key."""
    keys = sorted({*before, *after})
    return tuple(
        Change(key, before.get(key), after.get(key)) for key in keys if not _same(before.get(key), after.get(key))
    )


def undone(items: Items, changes: tuple[Change, ...]) -> dict[str, Item]:
    """The items before the changes."""
    result = dict(items)
    for change in changes:
        if change.before is None:
            result.pop(change.key, None)
        else:
            result[change.key] = change.before
    return result


def _same(one: Item | None, other: Item | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.secret == other.secret and same_json(one.value, other.value)


def same_json(one: Any, other: Any) -> bool:
    """True is not 1, and 1 is not 1.0."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
