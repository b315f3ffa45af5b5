"""Authorization requests, tokens, external profiles and logout requests."""

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
DEFAULT_LIFETIME, MIN_LIFETIME = 3600, 60
"""Seconds that an access token lives: by default (RFC 6749, 5.1), and at least."""
LONE_SURROGATES = re.compile("[\ud800-\udfff]")
"""Lone surrogates: JSON can spell them, but they can be neither sent nor stored."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """An authorization request, from its start to the callback. `user` is the id of the user who links an identity;
    `again` means a re-authentication.

    `state` is hexadecimal: WeChat accepts only letters and digits.
    """

    provider: str
    next: str
    at: float
    user: str = ""
    invitation: str = ""
    state: str = field(default_factory=lambda: secrets.token_hex(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    again: bool = False
    login: bool = False
    """Whether the provider has to authenticate the user in any case (`prompt=login`)."""
    brief: bool = False
    """Whether the session ends with the browser (without "Stay signed in")."""

    @property
    def challenge(self) -> str:
        """PKCE's S256 challenge (RFC 7636)."""
        return base64url(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def nonce(self) -> str:
        return base64url(hashlib.sha256(b"nonce:" + self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session, the client id that they belong to if there are several, and the user's groups.

    `recheck_at` (Unix seconds) is when the refresh token is used; infinite without one.
    """

    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    recheck_at: float = math.inf
    client: str = ""
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Claims, *, now: float, refresh: bool, before: "Tokens | None" = None) -> "Tokens":
        """From a token response (RFC 6749, 5.1 and 6); members that a refresh leaves out stay as `before`.

        A refresh token is kept only if it is going to be used.
        """
        old = before or cls()
        refresh_token = (
            (text(answer, "refresh_token", MAX_PROVIDER_TOKEN_LENGTH) or old.refresh_token) if refresh else ""
        )
        return cls(
            id_token=text(answer, "id_token", MAX_PROVIDER_TOKEN_LENGTH) or old.id_token,
            refresh_token=refresh_token,
            recheck_at=now + _lifetime(answer) if refresh_token else math.inf,
            groups=old.groups,
        )


@dataclass(frozen=True, slots=True)
class ExternalProfile:
    """A user at a provider: (issuer, subject) is permanent, the rest is of this sign-in.

    `email` is verified by the provider, else None. `session` is the provider's session id (`sid`), if known.
    """

    issuer: str
    subject: str
    names: tuple[str, ...] = ()
    """Candidates for a username, best first."""
    name: str = ""
    email: str | None = None
    picture: str = ""
    claims: Claims = field(default_factory=dict, repr=False)
    session: str = ""
    tokens: Tokens = Tokens()
    auth_time: float = 0.0
    """When the provider authenticated the user (Unix seconds); 0 if it does not say."""
    former_subjects: tuple[str, ...] = ()
    """Subjects by which the provider named the same user before."""
    app: str = ""
    app_subject: str = ""
    """What the provider calls the user in its app `app`, where that differs by app."""


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A back-channel logout: of all sessions of a subject, or of one `sid`. `id` is the token's `jti`."""

    id: str
    issuer: str
    subject: str
    session: str

    def ends(self, issuer: str, subject: str, session: str) -> bool:
        """Whether it ends a session with this issuer, subject and `sid`. A session of unknown `sid` may be any of the
        subject's, so it ends as well.
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
        return DEFAULT_LIFETIME
    return max(seconds, MIN_LIFETIME)


def text(claims: Claims, name: str, most: int = 255) -> str:
    """A claim as a text; empty if it is missing, of another type, not valid Unicode, or too long."""
    value = claims.get(name)
    return value if isinstance(value, str) and len(value) <= most and not LONE_SURROGATES.search(value) else ""


def is_true(claim: object) -> bool:
    """Whether a claim is true, or the text "true" (Apple, Amazon Cognito)."""
    return claim is True or (isinstance(claim, str) and claim.lower() == "true")


def token(answer: Claims, name: str) -> str:
    """A token that is valid in a header (RFC 6749, appendix A.12); else empty."""
    value = text(answer, name, MAX_PROVIDER_TOKEN_LENGTH)
    return value if value.isascii() and value.isprintable() else ""


def picture(claims: Claims, name: str) -> str:
    """A claim as an https:// URL of a picture; else empty."""
    url = text(claims, name, 1024)
    return url if url.startswith("https://") else ""
