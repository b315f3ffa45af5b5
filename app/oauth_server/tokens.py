"""Codes, refresh tokens and opaque access tokens: each names its family and is signed, so that none is stored.

A token is good only while its family is in Redis: ending a family ends them all. A stolen store yields no tokens,
because they are made with a key derived from `secret_key`.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

CODE, REFRESH, ACCESS = "tgc_", "tgr_", "tga_"
SHAPE = re.compile(r"(tg[cra]_)([A-Za-z0-9_-]{22})\.(\d{1,12})(?:\.(\d{1,12})\.([a-z_~]*))?\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """`number` is a refresh token's generation, or when an access token was issued. `scopes` is None for all scopes of
    the family.
    """

    kind: str
    family: str
    number: int
    expires: int = 0
    scopes: tuple[str, ...] | None = None


class TokenFormat:
    """`keys` are the secret keys, the current one last: it signs, all verify."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = [hashlib.sha256(f"tallygate.oauth-server:{key}".encode()).digest() for key in reversed(keys)]

    def code(self, family: str) -> str:
        return self._signed(f"{CODE}{family}.0")

    def refresh(self, family: str, generation: int) -> str:
        return self._signed(f"{REFRESH}{family}.{generation}")

    def access(self, family: str, issued: int, expires: int, scopes: tuple[str, ...] | None) -> str:
        return self._signed(f"{ACCESS}{family}.{issued}.{expires}.{'~'.join(scopes or ())}")

    def read(self, text: str) -> Token | None:
        """The token; None if its signature is invalid. Checks neither its family nor its age."""
        match = SHAPE.fullmatch(text)
        if match is None:
            return None
        kind, family, number, expires, scopes, signature = match.groups()
        plain = text[: -len(signature) - 1].encode()
        if not any(hmac.compare_digest(_mac(key, plain), signature) for key in self._keys):
            return None
        if (kind == ACCESS) != (expires is not None):
            return None
        return Token(kind, family, int(number), int(expires or 0), tuple(scopes.split("~")) if scopes else None)

    def _signed(self, plain: str) -> str:
        return f"{plain}.{_mac(self._keys[0], plain.encode())}"


def new_family_id() -> str:
    return secrets.token_urlsafe(16)


def sid_of(root: str) -> str:
    """`sid`, the session's id for clients; it does not reveal the session's key."""
    return hashlib.sha256(f"tallygate.sid:{root}".encode()).hexdigest()[:32]


def at_hash(access_token: str) -> str:
    """The claim that ties an ID token to its access token, where SHA-256 signs it (OpenID Connect Core 3.1.3.6)."""
    return urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).decode().rstrip("=")


def _mac(key: bytes, plain: bytes) -> str:
    return urlsafe_b64encode(hmac.digest(key, plain, "sha256")).decode().rstrip("=")
