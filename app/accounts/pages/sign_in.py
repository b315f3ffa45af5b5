"""The sign-in page, and signing out."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts import authentication
from app.accounts.helpers import flash_message, in_the_language_of, page, redirect_page, see_other
from app.accounts.lifespan import AccountState, S
from app.web.body import form_fields
from app.web.i18n import N_
from app.web.redirects import safe_path

NOTICES = {"password-reset": N_("Your password has been set. Please sign in.")}
"""Messages of redirects to the sign-in page."""


async def show(request: Request[AccountState]) -> Response:
    """`GET /sign-in?next=&again=`: the form. A signed-in user is redirected to `next`, unless `again` is set."""
    target = safe_path(request.query_params.get("next"))
    if "again" not in request.query_params and await request.state["current_user"].get(request.scope) is not None:
        return see_other(target)
    return await form(request, target)


async def send(request: Request[AccountState]) -> Response:
    """`POST /sign-in` with `username`, `password`, `next` and `stay` (on)."""
    fields = await form_fields(request, "username", "password", "next", "stay")
    target = safe_path(fields["next"])
    user = await authentication.sign_in(request, fields["username"], fields["password"], brief=not fields["stay"])
    if user is None:
        wrong = N_("The username or password is wrong.")
        return await form(request, target, username=fields["username"], error=wrong, field="password", status_code=401)
    await flash_message(request, N_("You are signed in."))
    response = keep_opener(see_other(target))
    in_the_language_of(user, response, request.scope)
    return response


async def leave(request: Request[AccountState]) -> Response:
    """`POST /sign-out`: signs out, and redirects to the provider's sign-out page if the session has one."""
    session = await request.state["sessions"].open(request.scope)
    # Concurrently, and in this order at Redis: a slow provider does not keep the session alive.
    farewell = request.state["sign_out_redirect"](session, str(request.base_url))
    url, _ = await asyncio.gather(farewell, authentication.sign_out(request))
    return see_other("/") if url is None else await redirect_page(request, url)


async def form(
    request: Request[S],
    target: str,
    *,
    username: str = "",
    error: str | None = None,
    field: str | None = None,
    status_code: int = 200,
    reference: str | None = None,
) -> Response:
    """The sign-in page; `reference` is the request id of a logged error."""
    response = await page(
        request,
        "accounts/sign_in.html",
        status_code=status_code,
        next=target,
        username=username,
        error=error,
        field=field,
        registration=request.state["settings"].registration,
        reference=reference,
        notice=NOTICES.get(request.query_params.get("notice", "")),
        providers=request.state["sign_in_options"],
    )
    return keep_opener(response)


def keep_opener(response: Response) -> Response:
    """Services open this page in a pop-up, which keeps its opener only if no page on its way cuts it off."""
    response.headers["cross-origin-opener-policy"] = "unsafe-none"
    return response


routes = [
    Route("/sign-in", show, methods=["GET"]),
    Route("/sign-in", send, methods=["POST"]),
    Route("/sign-out", leave, methods=["POST"]),
]
