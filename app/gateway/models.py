"""Records of the gateway: sign-ins that a protected host began, codes, and sessions at hosts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

HANDOFF_LIFETIME = 900
"""Seconds for signing in at the portal."""
CODE_LIFETIME = 60
"""Seconds until the code expires."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """A sign-in that a host began. `next` is a path of the host; `browser` is the hash of the state cookie; `within` is
    the maximum age of the sign-in in seconds, 0 for any.
    """

    origin: str
    host: str
    next: str
    browser: str
    created: float
    within: int = 0

    @classmethod
    def from_hash(cls, fields: Mapping[bytes, bytes]) -> Self:
        return cls(
            origin=fields[b"origin"].decode(),
            host=fields[b"host"].decode(),
            next=fields[b"next"].decode(),
            browser=fields[b"browser"].decode(),
            created=float(fields[b"created"]),
            within=int(fields[b"within"]),
        )

    def to_hash(self) -> list[str]:
        return [
            "origin", self.origin,
            "host", self.host,
            "next", self.next,
            "browser", self.browser,
            "created", repr(self.created),
            "within", str(self.within),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class TakenCode:
    """A redeemed code. `session` is the key of the portal's session; `first` is False for a
    replay.
    """

    handoff: Handoff
    state: str
    user: str
    session: str
    issued: float
    first: bool


@dataclass(frozen=True, slots=True)
class HostSession:
    """A sign-in at one host, or with `gateway_cookie_domain` at all hosts of a domain (`.example.com`). It lives as
    long as the portal's session with the root `parent`.
    """

    user: str
    parent: str
    host: str

    @classmethod
    def from_hash(cls, _: str, fields: Mapping[bytes, bytes]) -> Self:
        return cls(fields[b"user"].decode(), fields[b"parent"].decode(), fields[b"host"].decode())
