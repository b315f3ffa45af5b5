"""The link that verifies a user's e-mail address. It needs no sign-in: mails are read on other devices, too."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.email.mails import NO_MAIL
from app.accounts.email.verification_links import EmailLink
from app.accounts.guards import sign_in_required
from app.accounts.helpers import address_of, audit, page, raise_if_limited, redirect_with_message, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import Conflict, NotFound
from app.web.i18n import N_

GONE = N_("This link is no longer valid: it works once, for a day, while the account has this address.")


@sign_in_required
async def request_verification(request: Request[AccountState], user: User) -> Response:
    """`POST /account/verify-email`: sends a link to the user's address."""
    if not request.state["mail"].enabled:
        raise Conflict(NO_MAIL)
    if not user.email or user.email_verified:
        raise Conflict(N_("There is no e-mail address to verify."))
    raise_if_limited(await request.state["limits"].verifying(user.id))
    await send_verification(request, user.id, user.email)
    return await redirect_with_message(
        request, "/account", N_("A link is on its way to your e-mail address. It works once, for a day.")
    )


async def show_verification(request: Request[AccountState]) -> Response:
    """`GET /verify-email?token=`: a page with a button, because mail scanners follow links."""
    token = request.query_params.get("token", "")
    link = await _link(request, token)
    return await page(request, "accounts/verify_email.html", token=token, email=link.email, verified=False)


async def verify_address(request: Request[AccountState]) -> Response:
    """`POST /verify-email` with `token`."""
    token = (await form_fields(request, "token"))["token"]
    link = await _link(request, token)
    if not await request.state["email_links"].use(token, link):
        raise NotFound(GONE)
    await audit(request, Event.EMAIL_VERIFIED, user=link.user_id)
    return see_other("/verify-email/done")


async def show_verified(request: Request[AccountState]) -> Response:
    return await page(request, "accounts/verify_email.html", token="", email="", verified=True)


async def send_verification(request: Request[AccountState], user_id: str, email: str) -> None:
    """Queues the mail."""
    locale = request.state["pages"].locale_of(request.scope)
    await request.state["mail"].enqueue("verification", user=user_id, email=email, locale=locale)


async def _link(request: Request[AccountState], token: str) -> EmailLink:
    """Raises NotFound."""
    link: EmailLink | None = await request.state["email_links"].read(token)
    if link is None:
        raise_if_limited(await request.state["limits"].setup(address_of(request)))
        raise NotFound(GONE)
    return link


routes = [
    Route("/account/verify-email", request_verification, methods=["POST"]),
    Route("/verify-email", show_verification, methods=["GET"]),
    Route("/verify-email", verify_address, methods=["POST"]),
    Route("/verify-email/done", show_verified, methods=["GET"]),
]
