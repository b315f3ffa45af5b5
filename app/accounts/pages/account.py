"""The account page: name, language and password."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import fresh_sign_in_required, sign_in_required
from app.accounts.helpers import audit, flash_message, page, raise_if_limited, redirect_with_message, see_other
from app.accounts.lifespan import AccountState, S
from app.accounts.models import User
from app.accounts.passwords.policy import WeakPassword
from app.accounts.sign_in import authentication
from app.accounts.sign_in.reauthentication import confirmation
from app.accounts.users.names import BadName
from app.accounts.users.store import NameTaken
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import BadRequest, Forbidden
from app.web.i18n import COOKIE, N_, NAMES
from app.web.language import remember

FIRST_PASSWORD = N_("You are about to set a password for your account.")
WRONG_PASSWORD = N_("The current password is wrong.")


@sign_in_required
async def show_account(request: Request[AccountState], user: User) -> Response:
    return await account_page(request, user)


@sign_in_required
async def change_language(request: Request[AccountState], user: User) -> Response:
    """`POST /account` with `locale`; an empty one leaves the choice to the browser."""
    fields = await form_fields(request, "locale")
    locale = fields["locale"] or None
    if locale is not None and locale not in NAMES:
        raise BadRequest(f"locale: must be one of {', '.join(NAMES)}, or empty", field="locale")
    await request.state["accounts"].set_locale(user.id, locale)
    await flash_message(request, N_("Saved."))
    response = see_other("/account")
    if locale is None:
        response.delete_cookie(COOKIE)
    else:
        remember(response, request.scope, locale)
    return response


@fresh_sign_in_required
async def change_username(request: Request[AccountState], user: User) -> Response:
    """`POST /account/name` with `username`."""
    if request.state["settings"].legacy:  # legacy cookies hold names: no other user may take one meanwhile
        raise Forbidden(N_("Names cannot be changed during the migration from another app."))
    name, state = (await form_fields(request, "username"))["username"], request.state
    raise_if_limited(await state["limits"].renaming(user.id))
    try:
        before = await state["accounts"].rename(user.id, name)
    except BadName as bad:
        return await account_page(request, user, bad.reason, "username", username=name)
    except NameTaken:
        return await account_page(request, user, N_("This name is taken."), "username", username=name)
    if before is not None:
        await audit(request, Event.RENAMED, user=user, detail=before)
    return await redirect_with_message(request, "/account", N_("Saved."))


@sign_in_required
async def change_password(request: Request[AccountState], user: User) -> Response:
    """`POST /account/password` with `current`, `new` and `end_others` (on): the session gets a new id."""
    fields = await form_fields(request, "current", "new", "end_others")
    state = request.state
    raise_if_limited(await state["limits"].password_change(user.id))
    stored = await state["accounts"].password_hash(user.id)
    if stored is None and (question := await confirmation(request, user, FIRST_PASSWORD)):
        return question
    if stored is not None and not await state["passwords"].verify(stored, fields["current"]):
        await audit(request, Event.SIGN_IN_FAILED, user=user, detail="password-change")
        return await account_page(request, user, WRONG_PASSWORD, "current")
    try:
        password_hash = await authentication.new_password(request, user.name, fields["new"])
    except WeakPassword as weak:
        return await account_page(request, user, weak.reason, "new")
    if stored is None:
        await state["accounts"].set_password(user.id, password_hash)
    elif not await state["accounts"].replace_password(user.id, stored, password_hash):
        return await account_page(request, user, WRONG_PASSWORD, "current")
    session = await state["sessions"].authenticated_again(request.scope, ("pwd",))
    if fields["end_others"]:
        await state["sessions"].end_all(user.id, keep=session.key)
    await audit(request, Event.PASSWORD_CHANGED, user=user)
    return await redirect_with_message(request, "/account", N_("Your password has been changed."))


async def account_page(
    request: Request[S],
    user: User,
    error: str | None = None,
    field: str | None = None,
    *,
    username: str | None = None,
    status_code: int | None = None,
    reference: str | None = None,
) -> Response:
    """The account page; `username` is the name that was typed, `reference` the request id of a logged error."""
    return await page(
        request,
        "accounts/account.html",
        status_code=status_code,
        error=error,
        field=field,
        reference=reference,
        username=user.name if username is None else username,
        may_rename=not request.state["settings"].legacy,
        with_mail=request.state["settings"].sends_mail,
        revocable=request.state["sessions"].revocable,
        identities=await request.state["identities"].of_user(user.id),
        providers=request.state["sign_in_options"],
    )


routes = [
    Route("/account", show_account, methods=["GET"]),
    Route("/account", change_language, methods=["POST"]),
    Route("/account/name", change_username, methods=["POST"]),
    Route("/account/password", change_password, methods=["POST"]),
]
