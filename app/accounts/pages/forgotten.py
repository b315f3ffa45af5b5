"""A forgotten password: a reset link by e-mail. The answer is the same whether or not there is such a user."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.email.mails import NO_MAIL
from app.accounts.helpers import address_of, page, raise_if_limited, see_other
from app.accounts.lifespan import AccountState
from app.accounts.users.names import BadName, compare_key, normal
from app.accounts.users.profile import BadProfile, email_of
from app.web.body import Body, Text, form_fields, json_body
from app.web.errors import BadRequest, Conflict
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation
from app.web.policy import IN_POPUP, PolicyRoute

BAD_LOGIN = N_("This is neither a username nor an e-mail address.")
PATH = "/forgot-password"


class BadLogin(ValueError):
    """The text is neither a valid name nor a valid address."""


class PasswordResetBody(Body):
    login: Text


async def show_forgotten_password(request: Request[AccountState]) -> Response:
    """`GET /forgot-password`; `?sent` after the form."""
    return await _page(request, sent="sent" in request.query_params)


async def send_reset_link(request: Request[AccountState]) -> Response:
    """`POST /forgot-password` with `login`, a username or an e-mail address."""
    login = (await form_fields(request, "login"))["login"]
    if not request.state["mail"].enabled:
        return await _page(request)
    try:
        await _enqueue(request, login)
    except BadLogin:
        return await _page(request, login=login, error=BAD_LOGIN)
    return see_other(f"{PATH}?sent")


async def send_reset_link_by_api(request: Request[AccountState]) -> Response:
    body = await json_body(request, PasswordResetBody)
    if not request.state["mail"].enabled:
        raise Conflict(NO_MAIL)
    try:
        await _enqueue(request, body.login)
    except BadLogin:
        raise BadRequest("login: must be a username or an e-mail address", field="login") from None
    return Response(status_code=202)


async def link_expired(request: Request[AccountState]) -> Response:
    """The page of a reset link that is used or too old: it says so, and asks for a new one."""
    return await _page(request, gone=True)


async def _enqueue(request: Request[AccountState], login: str) -> None:
    """Queues the mail for any name: the user is looked up when it is sent. Raises BadLogin, TooMany."""
    login = _checked(login)
    wait = await request.state["limits"].forgotten(compare_key(login), address_of(request))
    raise_if_limited(wait)
    await request.state["mail"].enqueue(
        "reset",
        login=login,
        address=address_of(request),
        request_id=request.scope["state"]["request_id"],
        locale=request.state["pages"].locale_of(request.scope),
    )


def _checked(login: str) -> str:
    """Raises BadLogin."""
    login = login.strip(" ")
    try:
        return email_of(login) if "@" in login else normal(login)
    except (BadName, BadProfile):
        raise BadLogin from None


async def _page(
    request: Request[AccountState], *, login: str = "", sent: bool = False, error: str | None = None, gone: bool = False
) -> Response:
    enabled = request.state["mail"].enabled
    return await page(
        request,
        "accounts/forgotten.html",
        status_code=404 if gone or not enabled else 400 if error else 200,
        login=login,
        sent=sent and enabled,
        with_mail=enabled,
        error=error,
        gone=gone,
    )


ASK = Operation(
    "Send a reset link to the verified address of a user, if there is one: the answer is the same",
    status=202,
    tag="session",
    body=PasswordResetBody,
    problems=[409, 429],
)

routes = [
    ApiRoute("POST", "/api/password-reset", send_reset_link_by_api, ASK),
    PolicyRoute(PATH, show_forgotten_password, methods=["GET"], policy=IN_POPUP),
    PolicyRoute(PATH, send_reset_link, methods=["POST"], policy=IN_POPUP),
]
