"""Validates `next`, the target of a redirect; every redirect to a client's target uses it. Pure."""

import re
from urllib.parse import unquote

SAFE = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def safe_path(target: str | None, fallback: str = "/") -> str:
    """The target if it is a path on this site, else the fallback; never an error.

    Refuses other sites, schemes, control characters, backslashes, non-ASCII and `//`, also when they are
    percent-encoded once or twice (open redirects: OWASP ASVS 5.0, 3.7.2).
    """
    if not target or len(target) > 2048:
        return fallback
    once = unquote(target)
    for form in (target, once, unquote(once)):
        path = form.partition("?")[0].partition("#")[0]
        if not SAFE.fullmatch(form) or "\\" in form or "//" in path or "@" in path:
            return fallback
    return target
