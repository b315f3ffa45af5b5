"""The setup page, which makes the first administrator's account."""

import hmac

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import admin_required
from app.accounts.helpers import address_of, audit, page, raise_if_limited, see_other
from app.accounts.invitations.setup_link import setup_token
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.pages.landing import landing
from app.accounts.passwords.policy import WeakPassword
from app.accounts.sign_in import authentication
from app.accounts.users.names import BadName
from app.accounts.users.store import AdminExists, NameTaken
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import NotFound
from app.web.i18n import N_


async def show_setup(request: Request[AccountState]) -> Response:
    token = request.query_params.get("token", "")
    await _check(request, token)
    return await page(request, "accounts/setup.html", token=token, username="")


async def create_first_admin(request: Request[AccountState]) -> Response:
    """`POST /setup` with `token`, `username` and `password`: makes the administrator and signs in."""
    fields = await form_fields(request, "token", "username", "password")
    await _check(request, fields["token"])
    name = fields["username"]
    try:
        password_hash = await authentication.new_password(request, name, fields["password"])
        legacy = request.state["settings"].legacy
        user = await request.state["accounts"].create(name, password_hash, first_admin=True, newcomer=legacy)
    except AdminExists:
        raise NotFound from None
    except (BadName, WeakPassword) as wrong:
        field, reason = ("username" if isinstance(wrong, BadName) else "password"), wrong.reason
    except NameTaken:
        field, reason = "username", N_("This name is taken.")
    else:
        await audit(request, Event.USER_CREATED, user=user, detail="setup")
        await authentication.start_session(request, user, "setup", amr=("pwd",))
        return see_other(await landing(request, user, "/welcome"))
    return await page(request, "accounts/setup.html", token=fields["token"], username=name, error=reason, field=field)


@admin_required
async def show_welcome(request: Request[AccountState], admin: User) -> Response:
    """`GET /welcome`: what to do after the setup."""
    inviting = request.state["settings"].registration != "closed"
    return await page(request, "accounts/welcome.html", inviting=inviting)


async def _check(request: Request[AccountState], token: str) -> None:
    """Raises NotFound for a wrong token, and for any token once there is an administrator."""
    state = request.state
    try:
        right = await setup_token(state["accounts"], state["settings"])
    except AdminExists:
        raise NotFound from None
    if not hmac.compare_digest(token.encode("utf-8", "replace"), right.encode()):
        raise_if_limited(await state["limits"].setup(address_of(request)))
        raise NotFound


routes = [
    Route("/welcome", show_welcome, methods=["GET"]),
    Route("/setup", show_setup, methods=["GET"]),
    Route("/setup", create_first_admin, methods=["POST"]),
]
