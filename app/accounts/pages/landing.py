"""The page that follows a sign-in."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import flash_message, in_the_language_of, see_other
from app.accounts.lifespan import S
from app.accounts.models import User
from app.web.i18n import N_

SECURITY = "/account/security"
AFTER_SET_UP = "after_set_up"
"""The key in the session's data of the requested page while the user sets up a second factor."""


async def landing(request: Request[S], user: User, target: str) -> str:
    """The target, or the page of second factors if the user has to set one up first."""
    session = await request.state["sessions"].open(request.scope)
    if session is None or not request.state["current_user"].must_enroll(user):
        return target
    if target != "/":
        session.data[AFTER_SET_UP] = target
    return SECURITY


async def landed(request: Request[S], user: User, target: str) -> Response:
    """The redirect after a sign-in, with a message and in the user's language."""
    await flash_message(request, N_("You are signed in."))
    response = see_other(await landing(request, user, target))
    in_the_language_of(user, response, request.scope)
    return response
