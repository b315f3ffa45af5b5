"""The sign-in page, and signing out."""

import asyncio
from contextlib import suppress
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.helpers import page, redirect_page, see_other, translated, with_limit
from app.accounts.lifespan import AccountState, S
from app.accounts.models import SignInOption
from app.accounts.pages import second_step
from app.accounts.pages.landing import landed, landing
from app.accounts.second_factors.checking import credential_of, relying_party
from app.accounts.sign_in import authentication
from app.store.client import StoreUnavailable
from app.web.body import form_fields
from app.web.errors import TooMany
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute
from app.web.redirects import safe_path

NOTICES = {
    "account-removed": N_("Your account has been removed."),
    "password-reset": N_("Your password has been set. Please sign in."),
}
"""Messages of redirects to the sign-in page."""
GATEWAY_AUTHORIZE = "/gateway/authorize?"
"""A `next` that begins so comes from a protected host. A redirect would lose the URL's fragment: a page with a script
passes it on.
"""


async def show_sign_in(request: Request[AccountState]) -> Response:
    """`GET /sign-in?next=&again=&username=`: the form. A signed-in user goes to `next`, unless `again` is set."""
    target = safe_path(request.query_params.get("next"))
    if "again" not in request.query_params and await request.state["current_user"].get(request.scope) is not None:
        return see_other(target)
    enrolling = await request.state["current_user"].enrolling(request.scope)
    if enrolling is not None:
        return see_other(await landing(request, enrolling, target))
    provider = _only_provider(request)
    if provider is not None and "notice" not in request.query_params:
        url = f"/oauth/{provider.name}/start?next={quote(target, safe='')}"
        if target.startswith(GATEWAY_AUTHORIZE):
            return await page(request, "accounts/onward.html", url=url, site=provider.label)
        return see_other(url)
    return await sign_in_page(request, target, username=request.query_params.get("username", ""))


async def sign_in(request: Request[AccountState]) -> Response:
    """`POST /sign-in` with `username`, `password`, `next` and `stay` (on)."""
    fields = await form_fields(request, "username", "password", "next", "stay")
    target = safe_path(fields["next"])
    try:
        user = await authentication.sign_in(request, fields["username"], fields["password"], brief=not fields["stay"])
    except authentication.NeedsSecondFactor as needed:
        return await second_step.begin_second_step(request, needed.pending, target)
    except TooMany as limited:
        return await _limited(request, target, limited, fields["username"])
    if user is None:
        wrong = N_("The username or password is wrong.")
        return await sign_in_page(
            request, target, username=fields["username"], error=wrong, field="password", status_code=401
        )
    return await landed(request, user, target)


async def sign_in_with_passkey(request: Request[AccountState]) -> Response:
    """`POST /sign-in/passkey` with `credential` (the browser's response as JSON), `next` and `stay` (on)."""
    fields = await form_fields(request, "next", "stay")
    target, credential = safe_path(fields["next"]), await credential_of(request)
    try:
        user = await authentication.sign_in_with_passkey(request, credential, brief=not fields["stay"])
    except TooMany as limited:
        return await _limited(request, target, limited)
    if user is None:
        return await sign_in_page(request, target, error=N_("This passkey was not accepted."), status_code=401)
    return await landed(request, user, target)


async def sign_out(request: Request[AccountState]) -> Response:
    """`POST /sign-out`: signs out, and redirects to the provider's sign-out page if the session has one."""
    session = await request.state["sessions"].open(request.scope)
    # Concurrently, and in this order at Redis: a slow provider does not keep the session alive.
    redirect = request.state["sign_out_redirect"](session, str(request.base_url))
    url, _ = await asyncio.gather(redirect, authentication.sign_out(request))
    return see_other("/") if url is None else await redirect_page(request, url)


async def sign_in_page(
    request: Request[S],
    target: str,
    *,
    username: str = "",
    error: str | None = None,
    field: str | None = None,
    status_code: int = 200,
    reference: str | None = None,
    notice: str | None = None,
    wait: int = 0,
) -> Response:
    """The sign-in page; `reference` is the request id of a logged error, `wait` the seconds that a limit tells."""
    settings = request.state["settings"]
    return await page(
        request,
        "accounts/sign_in.html",
        status_code=status_code,
        next=target,
        username=username,
        error=error,
        field=field,
        registration=settings.registration,
        reference=reference,
        notice=notice or translated(request, NOTICES.get(request.query_params.get("notice", ""), "")),
        providers=request.state["sign_in_options"],
        with_password=_only_provider(request) is None or request.method == "POST",
        has_admin=await _has_admin(request),
        wait=wait,
        with_mail=settings.sends_mail,
        passkeys=relying_party(request).possible,
    )


def _only_provider(request: Request[S]) -> SignInOption | None:
    """The provider that replaces the password form; `?password` shows the form all the same."""
    if "password" in request.query_params:
        return None
    name = request.state["settings"].only_provider
    return next((option for option in request.state["sign_in_options"] if option.name == name), None)


async def _limited(request: Request[S], target: str, limited: TooMany, username: str = "") -> Response:
    """The page with the time to wait and the other ways to sign in."""
    return with_limit(request, limited, await sign_in_page(request, target, username=username, wait=limited.wait))


async def _has_admin(request: Request[S]) -> bool:
    """True also while Redis is away: the page is shown then, too."""
    with suppress(StoreUnavailable):
        return await request.state["accounts"].has_admin()
    return True


routes = [
    PolicyRoute("/sign-in", show_sign_in, methods=["GET"], policy=IN_POPUP),
    PolicyRoute("/sign-in", sign_in, methods=["POST"], policy=IN_POPUP),
    PolicyRoute("/sign-in/passkey", sign_in_with_passkey, methods=["POST"], policy=IN_POPUP),
    Route("/sign-out", sign_out, methods=["POST"]),
]
