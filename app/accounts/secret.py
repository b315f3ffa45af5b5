"""Secrets that are shown once and stored as a hash. Pure.

A secret has 256 random bits, so a plain SHA-256 is enough.
"""

import hashlib
import re
import secrets

SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """A secret of 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def looks_like_secret(text: str) -> bool:
    return SHAPE.fullmatch(text) is not None


def digest(secret: str) -> str:
    """The hash under which a secret is stored; accepts any text, even with lone surrogates."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
