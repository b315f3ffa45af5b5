"""Pages that protected hosts show under `/.tallygate/`."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app.accounts.helpers import audit
from app.audit.log import Event
from app.gateway.lifespan import GatewayState
from app.gateway.original_request import split_authority
from app.gateway.responses import problem
from app.gateway.responses import site_page as rendered
from app.web.errors import Problem, problem_of
from app.web.headers import headers_of
from app.web.i18n import N_
from app.web.negotiate import asks_for_json
from app.web.static import Static

Handler = Callable[[Request[GatewayState]], Awaitable[Response]]
SIGN_OUT = "/.tallygate/sign-out"


def site_page(handler: Handler) -> Handler:
    """Errors become pages or problem documents that a protected host can show."""

    @wraps(handler)
    async def shown(request: Request[GatewayState]) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            reason = problem_of(error)
            if type(reason) is Problem:
                raise  # logged by the middleware
            page = not asks_for_json(headers_of(request.scope))
            head, body = problem(request.scope, request.state["pages"], reason, page=page)
            response = Response(body, head.status)
            response.raw_headers.extend(head.headers)
            return response

    return shown


@site_page
async def confirm(request: Request[GatewayState]) -> Response:
    """`GET /.tallygate/sign-out`: a button that signs out."""
    return _page(request, title=N_("Sign out?"), detail=N_("You will be signed out of all sites."), form=SIGN_OUT)


@site_page
async def sign_out(request: Request[GatewayState]) -> Response:
    """`POST /.tallygate/sign-out`: ends the session of the portal, and with it those of all hosts."""
    gateway, scope = request.state["gateway"], request.scope
    place = split_authority(request.headers.get("host", "").encode("latin-1"), scope["scheme"])
    host = place[0] if place is not None else ""
    caller = await gateway.callers.find(scope, {}, host)
    url = None
    if caller is not None and caller.session is not None:
        leave = request.state["sign_out_redirect"](caller.session, gateway.portal)
        url, _ = await asyncio.gather(leave, request.state["sessions"].end_one(caller.user.id, caller.session.key))
        await audit(request, Event.SIGN_OUT, user=caller.user)
    response: Response
    if url is not None:
        response = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
    else:
        response = _page(request, title=N_("Signed out"), detail=N_("You are signed out of all sites."), url="/")
    response.raw_headers.append(gateway.callers.delete(scope, host))
    return response


def _page(request: Request[GatewayState], *, title: str, detail: str, **context: str | None) -> Response:
    pages = request.state["pages"]
    locale = pages.locale_of(request.scope)
    html = rendered(
        pages, locale, title=pages.translate(locale, title), detail=pages.translate(locale, detail), **context
    )
    return HTMLResponse(html, headers={"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"})


class SiteStatic:
    """`/.tallygate/static/...`: the files of these pages."""

    def __init__(self) -> None:
        self._files = Static()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._files({**scope, "root_path": "/.tallygate/static"}, receive, send)
