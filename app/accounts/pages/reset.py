"""The page of a reset link, which sets a new password."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.helpers import address_of, audit, page, raise_if_limited, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.pages.forgotten import link_expired
from app.accounts.passwords.policy import WeakPassword
from app.accounts.sign_in import authentication
from app.audit.log import Event
from app.web.body import form_fields


async def show_reset(request: Request[AccountState]) -> Response:
    token = request.query_params.get("token", "")
    user = await _user(request, token)
    if user is None:
        return await link_expired(request)
    return await page(request, "accounts/reset.html", token=token, username=user.name)


async def reset_password(request: Request[AccountState]) -> Response:
    """`POST /reset` with `token` and `password`: sets the password and ends all sessions of the user."""
    fields, state = await form_fields(request, "token", "password"), request.state
    user = await _user(request, fields["token"])
    if user is None:
        return await link_expired(request)
    try:
        password_hash = await authentication.new_password(request, user.name, fields["password"])
    except WeakPassword as weak:
        context: dict[str, Any] = {"token": fields["token"], "username": user.name, "error": weak.reason}
        return await page(request, "accounts/reset.html", field="password", **context)
    if not await state["reset_links"].use(fields["token"], user.id, password_hash):
        return await link_expired(request)
    await state["sessions"].end_all(user.id)
    await audit(request, Event.PASSWORD_RESET, user=user)
    return see_other("/sign-in?notice=password-reset")


async def _user(request: Request[AccountState], token: str) -> User | None:
    """The user whose password the link sets. Raises TooMany."""
    user_id = await request.state["reset_links"].user_of(token)
    user = await request.state["accounts"].by_id(user_id) if user_id is not None else None
    if user is None:
        raise_if_limited(await request.state["limits"].setup(address_of(request)))
    return user


routes = [
    Route("/reset", show_reset, methods=["GET"]),
    Route("/reset", reset_password, methods=["POST"]),
]
