"""The user's own profile and data: display name, address, export, removal of the account."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration import actions
from app.accounts.asking import Question, ask
from app.accounts.guards import sign_in_required
from app.accounts.helpers import audit, raise_if_limited, redirect_with_message, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.pages import account
from app.accounts.pages.verify_email import send_verification
from app.accounts.sign_in.reauthentication import confirm, confirmation
from app.accounts.users import own_data
from app.accounts.users.profile import BadProfile, display_name_of, email_of
from app.accounts.users.store import LastAdmin
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import Conflict
from app.web.i18n import N_

REMOVE = Question(
    N_("Remove your account?"),
    N_(
        "Your sessions, tokens, linked accounts, groups and rights are removed for ever. Your sites and webhooks stay"
        " with the administrators. The audit log keeps its entries, with your id and your last name."
    ),
    N_("Remove the account"),
    typed=N_("Type your username to confirm"),
)


@sign_in_required
async def change_profile(request: Request[AccountState], user: User) -> Response:
    """`POST /account/profile` with `display_name` and `email`. Another address needs a recent proof."""
    fields, state = await form_fields(request, "display_name", "email"), request.state
    try:
        name, email = display_name_of(fields["display_name"]), email_of(fields["email"])
    except BadProfile as bad:
        return await account.account_page(request, user, bad.reason, bad.field)
    if email != user.email:
        if question := await confirmation(request, user, N_("You are about to change your e-mail address.")):
            return question
        if email:
            raise_if_limited(await state["limits"].verifying(user.id))
        await state["users"].set_email(user.id, email, verified=False)
        await audit(request, Event.EMAIL_CHANGED, user=user)
        if email:
            await send_verification(request, user.id, email)
    if name != user.display_name:
        await state["users"].set_display_name(user.id, name)
        await audit(request, Event.PROFILE_CHANGED, user=user, detail="display_name")
    return await redirect_with_message(request, "/account", N_("Saved."))


@sign_in_required
@confirm(N_("You are about to export everything that is kept of you."))
async def export_data(request: Request[AccountState], user: User) -> Response:
    """`POST /account/export`: a JSON file."""
    text = orjson.dumps(await own_data.export(request, user), option=orjson.OPT_INDENT_2)
    headers = {"Content-Disposition": 'attachment; filename="account.json"', "Cache-Control": "no-store"}
    return Response(text, 200, headers, media_type="application/json")


@sign_in_required
async def ask_to_remove_account(request: Request[AccountState], user: User) -> Response:
    return await ask(request, REMOVE, back="/account")


@sign_in_required
@confirm(N_("You are about to remove your account."))
async def remove_account(request: Request[AccountState], user: User) -> Response:
    """`POST /account/remove` with the username as `name`."""
    if (await form_fields(request, "name"))["name"].strip() != user.name:
        return await ask(request, REMOVE, back="/account", error=N_("This is not your username."))
    await remove_own_account(request, user)
    return see_other("/sign-in?notice=account-removed")


async def remove_own_account(request: Request[AccountState], user: User) -> None:
    """Raises Conflict for the last administrator."""
    try:
        await actions.remove(request, user, user)
    except LastAdmin:
        raise Conflict(N_("You are the last administrator. Make another one first.")) from None
    await request.state["sessions"].end(request.scope)


routes = [
    Route("/account/profile", change_profile, methods=["POST"]),
    Route("/account/export", export_data, methods=["POST"]),
    Route("/account/remove", ask_to_remove_account, methods=["GET"]),
    Route("/account/remove", remove_account, methods=["POST"]),
]
