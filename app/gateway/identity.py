"""The identity of a user as the application behind the proxy sees it: header values and JWT claims. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOKEN_LIFETIME = 300
"""Seconds for which an identity token is valid."""
TOKEN_RENEWAL = 60
"""Seconds after which a new token is made."""
MAX_HEAD_BYTES = 3600
"""Bytes of all headers of a response: nginx reads 4096 (`proxy_buffer_size`), with the status line and the headers that
the server adds.
"""
UNSAFE = re.compile(rb"[^\x21-\x24\x26-\x7e]")
UNSAFE_IN_LIST = re.compile(rb"[^\x21-\x24\x26-\x2b\x2d-\x7e]")
NAMES = (
    b"remote-user", b"remote-name", b"remote-email", b"remote-groups",
    b"x-auth-request-user", b"x-auth-request-preferred-username", b"x-auth-request-email", b"x-auth-request-groups",
    b"x-tallygate-groups-truncated", b"x-tallygate-identity",
)  # fmt: skip
"""The identity headers; every response that allows a request has each of them once."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`user_id` is stable, `name` is the username; `email` is empty unless it is verified."""

    user_id: str
    name: str
    display_name: str = ""
    email: str = ""
    groups: tuple[str, ...] = ()

    def claims(self) -> dict[str, Any]:
        """All claims of the user."""
        claims: dict[str, Any] = {
            "sub": self.user_id,
            "name": self.display_name or self.name,
            "preferred_username": self.name,
            "groups": list(self.groups),
        }
        return claims | ({"email": self.email, "email_verified": True} if self.email else {})


def encoded(text: str) -> bytes:
    """The text as a header value: UTF-8, percent-encoded except visible ASCII other than `%`. Decodes exactly."""
    return UNSAFE.sub(_escape, text.encode("utf-8", "replace"))


def encoded_list(texts: Sequence[str]) -> bytes:
    """Texts separated by commas; a comma in one of them is encoded as well."""
    return b",".join(UNSAFE_IN_LIST.sub(_escape, text.encode("utf-8", "replace")) for text in texts)


def identity_headers(identity: Identity | None, groups: Sequence[str], token: bytes) -> list[tuple[bytes, bytes]]:
    """All identity headers; empty ones where there is no value. `groups` are those that fit."""
    if identity is None:
        return [(name, b"") for name in NAMES]
    user, email, names = encoded(identity.name), encoded(identity.email), encoded_list(groups)
    truncated = b"true" if len(groups) < len(identity.groups) else b"false"
    name = encoded(identity.display_name or identity.name)
    return list(zip(NAMES, (user, name, email, names, user, user, email, names, truncated, token), strict=True))


def referring(claims: Mapping[str, Any], userinfo: str, names: Collection[str]) -> dict[str, Any]:
    """The claims, of which these refer to `userinfo` (OpenID Connect Core 1.0, section 5.6.2)."""
    kept = {name: value for name, value in claims.items() if name not in names}
    away = {name: "u" for name in claims if name in names}
    return kept | {"_claim_names": away, "_claim_sources": {"u": {"endpoint": userinfo}}}


def size_of(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Bytes of header lines."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def fitting(groups: Sequence[str], room: int) -> list[str]:
    """As many groups as fit into `room` bytes of one header."""
    kept: list[str] = []
    for group in groups:
        room -= len(encoded_list([group])) + 1
        if room < 0:
            break
        kept.append(group)
    return kept


def _escape(match: "re.Match[bytes]") -> bytes:
    return b"%%%02X" % match.group()[0]
