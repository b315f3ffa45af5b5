"""Redirects from paths that people and password managers try."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.helpers import see_other
from app.accounts.lifespan import AccountState

TARGETS = {
    "/admin": "/admin/users",
    "/admin/": "/admin/users",
    "/sign-in/": "/sign-in",
    "/sign-up/": "/sign-up",
    "/account/": "/account",
    "/.well-known/change-password": "/account#password",  # https://w3c.github.io/webappsec-change-password-url/
}


async def redirect_shortcut(request: Request[AccountState]) -> Response:
    """`GET` of each of them."""
    query = request.url.query
    target = TARGETS[request.scope["path"]]
    return see_other(f"{target}?{query}" if query and "#" not in target else target)


routes = [Route(path, redirect_shortcut, methods=["GET"]) for path in TARGETS]
