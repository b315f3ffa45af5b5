"""What a sign-in elsewhere is made of."""

import base64
import hashlib
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Claims = Mapping[str, Any]
MAX_PROVIDER_TOKEN_LENGTH = 64 * 1024
USUAL_LIFETIME, SHORTEST_LIFETIME = 3600, 60
"""Seconds that an access token lives: where the provider does not say (RFC 6749, 5.1), and at least."""
HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters: JSON can spell them alone, but they can be neither sent nor stored."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """One attempt to sign in, from its start to the callback. `user` is who wants to link an identity, if that is it;
    `again`: it is begun by who is signed in already, to be so afresh.

    `state` has hexadecimal digits only: WeChat refuses others than letters and digits.
    """

    provider: str
    next: str
    at: float
    user: str = ""
    invitation: str = ""
    state: str = field(default_factory=lambda: secrets.token_hex(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    again: bool = False

    @property
    def challenge(self) -> str:
        """Of PKCE (RFC 7636), with S256."""
        return base64url(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def nonce(self) -> str:
        return base64url(hashlib.sha256(b"nonce:" + self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider has given for one session, to which of our clients there, where they are several.

    `recheck_at`, in Unix seconds, is when the refresh token is to be used; never where there is none.
    """

    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    recheck_at: float = math.inf
    client: str = ""

    @classmethod
    def of(cls, answer: Claims, *, now: float, refresh: bool, before: "Tokens | None" = None) -> "Tokens":
        """From a token endpoint's answer (RFC 6749, 5.1 and 6); what a later one leaves out stays as it was `before`.

        Refresh tokens are kept only where they are to be used.
        """
        old = before or cls()
        refresh_token = (
            (text(answer, "refresh_token", MAX_PROVIDER_TOKEN_LENGTH) or old.refresh_token) if refresh else ""
        )
        return cls(
            id_token=text(answer, "id_token", MAX_PROVIDER_TOKEN_LENGTH) or old.id_token,
            refresh_token=refresh_token,
            recheck_at=now + _lifetime(answer) if refresh_token else math.inf,
        )


@dataclass(frozen=True, slots=True)
class ExternalProfile:
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
    tokens: Tokens = Tokens()


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """Whose sessions a provider ends: all of a subject, or those of one session there. `id` is the message's own."""

    id: str
    issuer: str
    subject: str
    session: str

    def ends(self, issuer: str, subject: str, session: str) -> bool:
        """Whether it is about a session there, of this subject; each of the two may have been left out. Where a sign-in
        did not tell its session there, it may be any of the subject's, this one too.
        """
        meant = self.session in {"", session} or (not session and self.subject != "")
        return self.issuer == issuer and self.subject in {"", subject} and meant


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _lifetime(answer: Claims) -> float:
    seconds = answer.get("expires_in")
    if isinstance(seconds, str) and seconds.isdecimal() and len(seconds) < 10:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e9:
        return USUAL_LIFETIME
    return max(seconds, SHORTEST_LIFETIME)


def text(claims: Claims, name: str, most: int = 255) -> str:
    """A claim as a text; empty where it is missing, something else, no valid Unicode, or longer than anybody needs."""
    value = claims.get(name)
    return value if isinstance(value, str) and len(value) <= most and not HALVES.search(value) else ""


def token(answer: Claims, name: str) -> str:
    """A token that can be sent on in a header (RFC 6749, appendix A.12); else empty."""
    value = text(answer, name, MAX_PROVIDER_TOKEN_LENGTH)
    return value if value.isascii() and value.isprintable() else ""


def picture(claims: Claims, name: str) -> str:
    """A claim as the address of a picture; empty where it is none that a page may show."""
    url = text(claims, name, 1024)
    return url if url.startswith("https://") else ""
