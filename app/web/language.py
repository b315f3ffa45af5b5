"""The language switch: a form that sets a cookie."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from app.server.security_headers import KEEPS_OPENER
from app.web.body import form_of
from app.web.cookies import secure
from app.web.errors import BadRequest
from app.web.i18n import COOKIE, NAMES
from app.web.lifespan import WebState
from app.web.redirects import safe_path

YEAR = 365 * 86_400


async def switch(request: Request[WebState]) -> Response:
    """`POST /language` with the fields `locale` and `next`."""
    form = await form_of(request)
    locale, target = form.get("locale"), form.get("next")
    if not isinstance(locale, str) or locale not in NAMES:
        raise BadRequest(f"locale: must be one of {', '.join(NAMES)}", field="locale")
    back = target if isinstance(target, str) else ""
    # A query in Chinese is no safe path: go back to the page without it.
    response = RedirectResponse(safe_path(back, safe_path(back.partition("?")[0])), 303)
    remember(response, request.scope, locale)
    if back:  # the page decides about its opener: that of a redirect would be cut off before
        response.raw_headers.append(KEEPS_OPENER)
    return response


def remember(response: Response, scope: Scope, locale: str, max_age: int = YEAR) -> None:
    """Sets the cookie of the language switch."""
    response.set_cookie(COOKIE, locale, max_age=max_age, secure=secure(scope), httponly=True, samesite="lax")


routes = [Route("/language", switch, methods=["POST"])]
