"""Recovery codes: each signs in once instead of another second factor. Pure."""

import re
import secrets

from app.accounts.secret import digest

NUMBER_OF_CODES = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1, which look alike."""
LENGTH = 24
"""118 bits: enough for a plain hash (OWASP ASVS 5.0, 6.5.2)."""
SHAPE = re.compile(rf"[{LETTERS}]{{{LENGTH}}}")


def new_codes() -> list[str]:
    """Ten codes such as `abcd-efgh-jkmn-pqrs-tuvw-xyz2`."""
    return [_grouped("".join(secrets.choice(LETTERS) for _ in range(LENGTH))) for _ in range(NUMBER_OF_CODES)]


def code_digest(typed: str) -> str | None:
    """The hash of a typed code; None if it cannot be one. Case, spaces and hyphens do not matter."""
    plain = re.sub(r"[\s-]", "", typed.lower())
    return digest(plain) if SHAPE.fullmatch(plain) else None


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4] for start in range(0, LENGTH, 4))
