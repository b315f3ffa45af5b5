"""What a sign-in elsewhere is made of."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in, from its start to the callback. `user` is who wants to link an identity, if that is it.

    `state` has hexadecimal digits only: WeChat refuses others than letters and digits.
    """

    provider: str
    next: str
    at: float
    user: str = ""
    invitation: str = ""
    state: str = field(default_factory=lambda: secrets.token_hex(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def challenge(self) -> str:
        """Of PKCE (RFC 7636), with S256."""
        return base64url(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def nonce(self) -> str:
        return base64url(hashlib.sha256(b"nonce:" + self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is for a provider: (issuer, subject) for ever; the rest as of now.

    `email` is one that the provider has verified, else None. `session` is the provider's own, if it tells.
    """

    issuer: str
    subject: str
    names: tuple[str, ...] = ()
    """What might become a username, the best first."""
    name: str = ""
    email: str | None = None
    picture: str = ""
    claims: Claims = field(default_factory=dict, repr=False)
    session: str = ""
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """Whose sessions a provider ends: all of a subject, or those of one session there. `id` is the message's own."""

    id: str
    issuer: str
    subject: str
    session: str


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text(claims: Claims, name: str, most: int = 255) -> str:
    """A claim as a text; empty where it is missing, something else, or longer than anybody needs."""
    value = claims.get(name)
    return value if isinstance(value, str) and len(value) <= most else ""


def picture(claims: Claims, name: str) -> str:
    """A claim as the address of a picture; empty where it is none that a page may show."""
    url = text(claims, name, 1024)
    return url if url.startswith("https://") else ""
