"""The second step of a sign-in: a code. There is no session before it."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import page, see_other, with_limit
from app.accounts.lifespan import AccountState, S
from app.accounts.pages.landing import landed
from app.accounts.second_factors.checking import relying_party
from app.accounts.second_factors.store import PENDING_LIFETIME, PendingSignIn
from app.accounts.sign_in import authentication
from app.web.body import form_fields
from app.web.cookies import cookie_header, delete_cookie, full_name, read_cookie, set_cookie
from app.web.errors import TooMany, WrongCode
from app.web.policy import IN_POPUP, PolicyRoute
from app.web.redirects import safe_path

COOKIE = "tallygate_second_factor"
"""Binds a sign-in that waits to its browser."""
PATH = "/sign-in/second-factor"


async def begin_second_step(request: Request[S], pending: PendingSignIn, target: str) -> Response:
    """Redirects to the page that asks for the second factor."""
    secret = await request.state["second_factors"].keep_pending(pending)
    response = see_other(f"{PATH}?next={quote(target, safe='')}")
    response.raw_headers.append(set_cookie(request.scope, COOKIE, secret, PENDING_LIFETIME))
    return response


async def show_second_step(request: Request[AccountState]) -> Response:
    target = safe_path(request.query_params.get("next"))
    pending = await request.state["second_factors"].pending(_secret(request))
    if pending is None:
        return _start_again(target)
    return await _form(request, pending, target)


async def submit_code(request: Request[AccountState]) -> Response:
    """`POST /sign-in/second-factor` with `code` and `next`."""
    fields, factors = await form_fields(request, "code", "next"), request.state["second_factors"]
    target, secret = safe_path(fields["next"]), _secret(request)
    pending = await factors.pending(secret)
    if pending is None:
        return _start_again(target)
    try:
        user = await authentication.finish(request, pending, fields["code"])
    except WrongCode as wrong:
        return await _form(request, pending, target, error=wrong.detail)
    except TooMany as limited:
        return with_limit(request, limited, await _form(request, pending, target, wait=limited.wait))
    await factors.end_pending(secret)
    response = await landed(request, user, target) if user is not None else _start_again(target)
    response.raw_headers.append(delete_cookie(request.scope, full_name(COOKIE, request.scope)))
    return response


async def _form(
    request: Request[S], pending: PendingSignIn, target: str, error: str | None = None, wait: int = 0
) -> Response:
    user = await request.state["accounts"].by_id(pending.user)
    return await page(
        request,
        "accounts/second_step.html",
        status_code=401 if error else 200,
        error=error,
        wait=wait,
        next=target,
        stay=pending.brief is False,
        at_provider=bool(pending.provider_sign_in),
        passkeys=relying_party(request).possible,
        kinds=user.second_factors if user is not None else (),
    )


def _secret(request: Request[S]) -> str:
    return read_cookie(cookie_header(request.scope), full_name(COOKIE, request.scope).encode()) or ""


def _start_again(target: str) -> Response:
    return see_other(f"/sign-in?next={quote(target, safe='')}")


routes = [
    PolicyRoute(PATH, show_second_step, methods=["GET"], policy=IN_POPUP),
    PolicyRoute(PATH, submit_code, methods=["POST"], policy=IN_POPUP),
]
