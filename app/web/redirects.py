"""Validates `next`, the target of a redirect; every redirect to a client's target uses it. Pure."""

import re
from urllib.parse import unquote

MAX_TARGET_LENGTH = 8192
PATH = re.compile(r"/[\x21-\x7e]*")
UNSAFE = re.compile(r"^(/\.{0,2})*/[/@]|[\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""A path that begins with `//` or `/@`, as it is or without its dot segments; characters that no URL contains."""


def safe_path(target: str | None, fallback: str = "/") -> str:
    """The target, byte for byte, if it is a path on this site, else the fallback; never an error.

    Refuses other sites, schemes, raw non-ASCII, and control characters, backslashes and a path that begins with `//` or
    `/@`, also when they are percent-encoded once or twice (open redirects: OWASP ASVS 5.0, 3.7.2).
    """
    if not target or len(target) > MAX_TARGET_LENGTH or not PATH.fullmatch(target):
        return fallback
    once = unquote(target)
    return fallback if any(map(UNSAFE.search, (target, once, unquote(once)))) else target
