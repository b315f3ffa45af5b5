"""Secrets that are shown once and kept as a hash. Pure.

They hold 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess.
"""

import hashlib
import re
import secrets

SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """43 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(32)


def looks_like_secret(text: str) -> bool:
    """Whether it is worth asking the store about it."""
    return SHAPE.fullmatch(text) is not None


def digest(secret: str) -> str:
    """The hash by which it is kept: of any text, even of one that is no valid Unicode."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
