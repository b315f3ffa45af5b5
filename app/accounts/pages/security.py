"""The page of second factors: passkeys, the authenticator app, recovery codes."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.asking import Question, ask
from app.accounts.guards import enrolling_allowed, fresh_sign_in_required
from app.accounts.helpers import audit, page, redirect_with_message, see_other
from app.accounts.lifespan import AccountState, S
from app.accounts.models import User
from app.accounts.pages.landing import AFTER_SET_UP, SECURITY
from app.accounts.second_factors.checking import relying_party
from app.accounts.second_factors.passkeys import MAX_ID_LENGTH, Passkey
from app.accounts.second_factors.recovery_codes import code_digest, new_codes
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute

MAX_PASSKEY_NAME_LENGTH = 64
NO_MORE = N_("It no longer signs you in.")
REMOVE_PASSKEY = Question(N_("Remove the passkey “%(name)s”?"), NO_MORE, N_("Remove"))
REMOVE_TOTP = Question(N_("Remove the authenticator app?"), NO_MORE, N_("Remove"))
NEW_CODES = Question(
    N_("Make new recovery codes?"),
    N_("The codes that you have now no longer work."),
    N_("Make new codes"),
    danger=False,
)
LAST_FACTOR = N_("Your account needs a second factor. Add another one before you remove this one.")


@enrolling_allowed
async def show_second_factors(request: Request[AccountState], user: User) -> Response:
    session, factors = await request.state["sessions"].open(request.scope), request.state["second_factors"]
    onward = session.data.get(AFTER_SET_UP) if session is not None and user.second_factors else None
    return await page(
        request,
        "accounts/security.html",
        user=user,
        passkeys=await factors.passkeys(user.id),
        codes_left=await factors.unused_codes(user.id),
        party=relying_party(request),
        required=request.state["current_user"].must_enroll(user),
        onward=onward,
        new_codes=await shown_secret(request, user),
    )


@enrolling_allowed
async def continue_after_setup(request: Request[AccountState], user: User) -> Response:
    """`POST /account/security/continue`: to where the user wanted to go before setting up a second factor."""
    session = await request.state["sessions"].open(request.scope)
    target = session.data.pop(AFTER_SET_UP, "/") if session is not None else "/"
    return see_other(target)


@enrolling_allowed
async def rename_passkey(request: Request[AccountState], user: User) -> Response:
    """`POST /account/passkeys/rename` with the passkey's `id` and `name`."""
    fields = await form_fields(request, "id", "name")
    if not await request.state["second_factors"].rename_passkey(user.id, fields["id"], passkey_name(fields["name"])):
        raise NotFound
    return await redirect_with_message(request, SECURITY, N_("Saved."))


@enrolling_allowed
async def ask_to_remove_factor(request: Request[AccountState], user: User) -> Response:
    """`GET /account/security/remove?factor=&id=`; `factor` is totp or passkey."""
    factor, passkey = await _named(request, user, request.query_params.get("id", ""))
    if passkey is None:
        return await ask(request, REMOVE_TOTP, user=user, back=SECURITY, fields={"factor": factor})
    fields = {"factor": factor, "id": passkey.id}
    return await ask(request, REMOVE_PASSKEY, user=user, back=SECURITY, name=passkey.name, fields=fields)


@fresh_sign_in_required
async def remove_factor(request: Request[AccountState], user: User) -> Response:
    """`POST /account/security/remove` with `factor` (totp or passkey) and the passkey's `id`."""
    fields, state = await form_fields(request, "factor", "id"), request.state
    factors = state["second_factors"]
    count = len(await factors.passkeys(user.id)) + ("totp" in user.second_factors)
    if count == 1 and state["current_user"].requires_second_factor(user):
        raise Conflict(LAST_FACTOR)
    match fields["factor"]:
        case "totp":
            removed = await factors.remove_totp(user.id)
        case "passkey":
            removed = await factors.remove_passkey(user.id, fields["id"][:MAX_ID_LENGTH])
        case _:
            raise BadRequest("factor: must be totp or passkey", field="factor")
    if not removed:
        raise NotFound
    await audit(request, Event.FACTOR_REMOVED, user=user, detail=fields["factor"])
    return await redirect_with_message(
        request, SECURITY, N_("Removed. You can end your other sessions on the page of devices.")
    )


@enrolling_allowed
async def ask_to_replace_codes(request: Request[AccountState], user: User) -> Response:
    return await ask(request, NEW_CODES, user=user, back=SECURITY)


@fresh_sign_in_required
async def replace_codes(request: Request[AccountState], user: User) -> Response:
    """`POST /account/recovery-codes`: the page shows the new set once; the former one is invalid."""
    if not user.second_factors:
        raise Conflict(N_("Recovery codes stand in for a second factor. Set one up first."))
    return await with_new_codes(request, user)


async def with_new_codes(request: Request[S], user: User) -> Response:
    """Makes a set of recovery codes, and redirects to the page that shows it once."""
    codes = new_codes()
    await request.state["second_factors"].set_codes(user.id, [code_digest(code) or "" for code in codes])
    await audit(request, Event.FACTOR_ADDED, user=user, detail="recovery-codes")
    return await redirect_with_secret(request, user, SECURITY, "\n".join(codes))


async def factor_added(request: Request[S], user: User, kind: str) -> Response:
    """After a factor was added: the audit entry, and the first set of recovery codes."""
    await audit(request, Event.FACTOR_ADDED, user=user, detail=kind)
    if not await request.state["second_factors"].unused_codes(user.id):
        return await with_new_codes(request, user)
    return await redirect_with_message(
        request, SECURITY, N_("Added. You can end your other sessions on the page of devices.")
    )


def passkey_name(typed: str) -> str:
    """The name of a passkey. Raises BadRequest."""
    name = " ".join(typed.split())
    if not name or len(name) > MAX_PASSKEY_NAME_LENGTH or not name.isprintable():
        raise BadRequest(f"name: must have 1 to {MAX_PASSKEY_NAME_LENGTH} visible characters", field="name")
    return name


async def _named(request: Request[S], user: User, credential_id: str) -> tuple[str, Passkey | None]:
    """(the factor that the query names, the passkey). Raises NotFound."""
    if request.query_params.get("factor") == "totp" and "totp" in user.second_factors:
        return "totp", None
    passkey = await request.state["second_factors"].passkey(user.id, credential_id[:MAX_ID_LENGTH])
    if passkey is None:
        raise NotFound
    return "passkey", passkey


routes = [
    PolicyRoute(SECURITY, show_second_factors, methods=["GET"], policy=IN_POPUP),
    PolicyRoute("/account/security/continue", continue_after_setup, methods=["POST"], policy=IN_POPUP),
    Route("/account/security/remove", ask_to_remove_factor, methods=["GET"]),
    Route("/account/security/remove", remove_factor, methods=["POST"]),
    Route("/account/passkeys/rename", rename_passkey, methods=["POST"]),
    PolicyRoute("/account/recovery-codes", ask_to_replace_codes, methods=["GET"], policy=IN_POPUP),
    PolicyRoute("/account/recovery-codes", replace_codes, methods=["POST"], policy=IN_POPUP),
]
