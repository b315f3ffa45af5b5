"""The cookies that bind waiting requests to their browser: one for each, so that tabs that start at once all finish."""

import re
import secrets

from starlette.requests import Request

from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.store import REQUEST_LIFETIME
from app.web.cookies import cookie_header, delete_cookie, full_name, read_cookie, set_cookie

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{32}")
MAX_COOKIES = 10
"""Of one browser: every request carries them."""
Headers = list[tuple[bytes, bytes]]


def new_value() -> str:
    return secrets.token_urlsafe(16)


def bound_value(request: Request[OAuthServerState], request_id: str) -> str | None:
    """The value of the request's cookie; None if this browser has none."""
    if not REQUEST_ID.fullmatch(request_id):
        return None
    value = read_cookie(cookie_header(request.scope), full_name(_name(request, request_id), request.scope).encode())
    return value if value and len(value) <= 64 else None


def bind(request: Request[OAuthServerState], request_id: str, value: str) -> Headers:
    """Set-Cookie headers that bind the request to this browser, and delete the oldest of too many."""
    present = [name for name in _present(request) if name != full_name(_name(request, request_id), request.scope)]
    cookie = set_cookie(request.scope, _name(request, request_id), value, REQUEST_LIFETIME)
    # browsers send the oldest first (RFC 6265, 5.4)
    return [cookie, *(delete_cookie(request.scope, name) for name in present[: -(MAX_COOKIES - 1)])]


def unbind(request: Request[OAuthServerState], request_id: str) -> Headers:
    return [delete_cookie(request.scope, full_name(_name(request, request_id), request.scope))]


def _name(request: Request[OAuthServerState], request_id: str) -> str:
    return f"{request.state['settings'].session_cookie}-authorize-{request_id[:12]}"


def _present(request: Request[OAuthServerState]) -> list[str]:
    prefix = full_name(_name(request, ""), request.scope).encode()
    names = (pair.partition(b"=")[0].strip() for pair in cookie_header(request.scope).split(b";"))
    return [name.decode() for name in names if name.startswith(prefix) and name.isascii()]
