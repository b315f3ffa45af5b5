"""Users, and the sign-in options of OAuth providers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class User:
    """A user. `created` is Unix seconds; `locale` is None if the browser decides.

    `display_name`, `email` and `groups` may be empty. Only a verified address proves that it is the user's.
    """

    id: str
    name: str
    is_admin: bool
    disabled: bool
    locale: str | None
    created: float
    has_password: bool
    display_name: str = ""
    email: str = ""
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    signed_in: float = field(default=0.0, compare=False)
    """Unix seconds of the last sign-in; 0 if there was none since this is noted."""
    second_factors: tuple[str, ...] = ()
    """`passkey`, `totp`."""

    @property
    def label(self) -> str:
        """The name to show."""
        return self.display_name or self.name

    @classmethod
    def from_hash(cls, user_id: str, fields: Mapping[bytes, bytes]) -> Self:
        return cls(
            id=user_id,
            name=fields[b"name"].decode(),
            is_admin=fields[b"admin"] == b"1",
            disabled=fields[b"disabled"] == b"1",
            locale=fields[b"locale"].decode() or None,
            created=float(fields[b"created"]),
            has_password=b"password" in fields,
            display_name=fields.get(b"display_name", b"").decode(),
            email=fields.get(b"email", b"").decode(),
            email_verified=fields.get(b"email_verified") == b"1",
            groups=tuple(filter(None, fields.get(b"groups", b"").decode().split(","))),
            signed_in=float(fields.get(b"signed_in", 0)),
            second_factors=tuple(filter(None, fields.get(b"second_factors", b"").decode().split(","))),
        )

    def to_hash(self) -> list[str]:
        """Field, value, field, value ... of a new user; without the password's hash, which only the store handles."""
        return [
            "name", self.name,
            "admin", str(int(self.is_admin)),
            "disabled", str(int(self.disabled)),
            "locale", self.locale or "",
            "created", repr(self.created),
            *(["display_name", self.display_name] if self.display_name else []),
            *(["email", self.email, "email_verified", "0"] if self.email else []),
            *(["groups", ",".join(self.groups)] if self.groups else []),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users, ordered by name. `total` counts all matches, None where not all users were looked at; `after`
    is the cursor of the next page.
    """

    users: tuple[User, ...]
    total: int | None
    after: str | None


@dataclass(frozen=True, slots=True)
class SignInOption:
    """A provider on the sign-in page: a button `label` that leads to `/oauth/<name>/start`."""

    name: str
    label: str
    reauthenticates: bool = True
    """Whether the provider can be asked to authenticate the user again."""

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.label
