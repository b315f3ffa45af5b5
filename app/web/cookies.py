"""Cookies, read strictly: names match exactly, and a doubled name is ignored.

Starlette's parser strips odd bytes and takes the last of two: a cookie that a neighbouring host sets under a look-alike
name would be accepted.
"""

from starlette.types import Scope

MAX_COOKIE_BYTES = 4096
"""Of one Set-Cookie header; browsers silently drop longer ones (RFC 6265, section 6.1)."""
DELETED = "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"


class CookieTooLarge(Exception):
    """The value does not fit into a cookie."""


def cookie_header(scope: Scope) -> bytes:
    """The raw Cookie header, joined if HTTP/2 split it; empty if there is none."""
    return b"; ".join(value for name, value in scope["headers"] if name == b"cookie")


def read_cookie(header: bytes, name: bytes) -> str | None:
    """The cookie's value; None if it is missing, doubled or not ASCII."""
    found = None
    for pair in header.split(b";"):
        key, separator, value = pair.strip(b" \t").partition(b"=")
        if key == name and separator:
            if found is not None:
                return None
            found = value
    return found.decode() if found is not None and found.isascii() else None


def secure(scope: Scope) -> bool:
    return bool(scope["scheme"] == "https")


def full_name(name: str, scope: Scope, domain: str = "") -> str:
    """The cookie's name on this connection: over HTTPS `__Host-` keeps other hosts from setting it (RFC 6265bis).
    With a `domain` all hosts below it get the cookie, and may set it.
    """
    if not secure(scope):
        return name
    return f"__Secure-{name}" if domain else f"__Host-{name}"


def set_cookie(scope: Scope, name: str, value: str, max_age: int | None, domain: str = "") -> tuple[bytes, bytes]:
    """A Set-Cookie header for `max_age` seconds, or until the browser closes. Raises CookieTooLarge."""
    age = "" if max_age is None else f" Max-Age={max_age};"
    full = full_name(name, scope, domain)
    line = f"{full}={value}; Path=/;{age} HttpOnly; SameSite=Lax{_domain(domain)}{_secure(scope)}"
    if len(line) > MAX_COOKIE_BYTES:
        raise CookieTooLarge(
            f"the cookie {name} would have {len(line)} bytes; browsers keep {MAX_COOKIE_BYTES} at most"
        )
    return b"set-cookie", line.encode("latin-1")


def delete_cookie(scope: Scope, full: str, domain: str = "") -> tuple[bytes, bytes]:
    """A Set-Cookie header that deletes the cookie of this full name."""
    return b"set-cookie", f"{full}={DELETED}{_domain(domain)}{_secure(scope)}".encode("latin-1")


def _domain(domain: str) -> str:
    return f"; Domain={domain}" if domain else ""


def _secure(scope: Scope) -> str:
    return "; Secure" if secure(scope) else ""
