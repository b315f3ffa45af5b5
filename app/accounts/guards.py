"""Decorators of handlers: `@sign_in_required`, `@fresh_sign_in_required`, `@admin_required`. The handler gets the user
as second argument.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.lifespan import S, UserHandler
from app.accounts.models import User
from app.accounts.sign_in.current_user import api_secret
from app.accounts.sign_in.reauthentication import confirm
from app.web.body import form_of
from app.web.errors import Forbidden, FreshSignInRequired, SecondFactorSetUpRequired, SignInRequired, WrongToken
from app.web.i18n import N_
from app.web.negotiate import prefers_json

Handler = Callable[[Request[S]], Awaitable[Response]]


def sign_in_required(handler: UserHandler[S]) -> Handler[S]:
    """A page redirects visitors to sign in and back; the API responds 401 with `sign_in_url`."""

    @wraps(handler)
    async def guarded(request: Request[S]) -> Response:
        return await handler(request, await user_of(request))

    return guarded


def enrolling_allowed(handler: UserHandler[S]) -> Handler[S]:
    """As `sign_in_required`, but also for a user who must set up a second factor first."""

    @wraps(handler)
    async def guarded(request: Request[S]) -> Response:
        enrolling = await request.state["current_user"].enrolling(request.scope)
        if enrolling is None:
            return await handler(request, await user_of(request))
        await _check_form(request)
        return await handler(request, enrolling)

    return guarded


def admin_required(handler: UserHandler[S]) -> Handler[S]:
    """Responds 403 to a user who is not an administrator."""

    @wraps(handler)
    async def guarded(request: Request[S]) -> Response:
        user = await user_of(request)
        if not user.is_admin:
            raise Forbidden(N_("Only administrators can do this."))
        return await handler(request, user)

    return guarded


def fresh_sign_in_required(handler: UserHandler[S]) -> Handler[S]:
    """For changes of how a user signs in: requires recent authentication (see reauthentication.py)."""
    return enrolling_allowed(confirm(N_("You are about to change how you sign in."))(handler))


async def fresh(request: Request[Any], back: str) -> None:
    """Raises FreshSignInRequired, with the path to return to, unless the user authenticated recently."""
    if not await request.state["sessions"].fresh(request.scope):
        raise FreshSignInRequired(back)


async def fresh_or_token(request: Request[Any], back: str) -> None:
    """As `fresh`, for acts of the API that a token may do as well."""
    if api_secret(request.scope) is None:
        await fresh(request, back)


async def user_of(request: Request[Any]) -> User:
    """The request's user. Raises SignInRequired, FormOfAnotherUser."""
    user: User | None = await request.state["current_user"].get(request.scope)
    if user is None and api_secret(request.scope) is not None:
        raise WrongToken
    if user is None:
        if await request.state["current_user"].enrolling(request.scope) is not None:
            raise SecondFactorSetUpRequired
        raise SignInRequired(_back(request))
    await _check_form(request)
    return user


async def _check_form(request: Request[Any]) -> None:
    """For handlers that read no form. The API reads bodies of any type, some of them in pieces."""
    if request.method == "POST" and not request.url.path.startswith("/api/"):
        await form_of(request)


def _back(request: Request[Any]) -> str | None:
    """The page to return to after signing in; None if the request is for no page."""
    if request.method not in {"GET", "HEAD"} or prefers_json(request.scope):
        return None
    query = request.scope["query_string"].decode("latin-1")
    return request.url.path + (f"?{query}" if query else "")
