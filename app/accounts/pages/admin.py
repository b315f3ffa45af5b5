"""Administration: actions on one user."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration import actions
from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import redirect_with_message
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.sign_in.reauthentication import confirm
from app.web.body import form_fields
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_
from app.web.redirects import safe_path

USERS = "/admin/users"
DONE = {
    "disable": N_("The account has been disabled and signed out everywhere."),
    "enable": N_("The account has been enabled."),
    "end-sessions": N_("All sessions of the account have been ended."),
    "remove-factors": N_("The second factors of the account have been removed."),
    "make-admin": N_("The account is an administrator now."),
    "remove-admin": N_("The account is no longer an administrator."),
}
"""Actions on a user, and the message after each."""
QUESTIONS = {
    "disable": Question(
        N_("Disable %(name)s?"),
        N_(
            "All sessions and API tokens of this account stop working at once. Nobody can sign in with it until you"
            " enable it again."
        ),
        N_("Disable"),
    ),
    "end-sessions": Question(
        N_("End all sessions of %(name)s?"),
        N_("This account is signed out on every device, at once. Its owner can sign in again."),
        N_("End sessions"),
    ),
    "remove-factors": Question(
        N_("Remove the second factors of %(name)s?"),
        N_("The password alone signs in then. Make sure that it is really the owner who asks."),
        N_("Remove the second factors"),
    ),
    "make-admin": Question(
        N_("Make %(name)s an administrator?"),
        N_(
            "Administrators see everybody here, and can disable accounts, invite people and make other"
            " administrators, or remove you as one."
        ),
        N_("Make administrator"),
        danger=False,
    ),
    "remove-admin": Question(
        N_("Remove %(name)s as an administrator?"),
        N_("The account stays as it is, but can no longer administer others."),
        N_("Remove as administrator"),
    ),
}


@admin_required
async def ask_to_change_user(request: Request[AccountState], admin: User) -> Response:
    subject, action = await actions.subject(request), request.path_params["action"]
    if action not in QUESTIONS:
        raise NotFound
    back = safe_path(request.query_params.get("next"), USERS)
    return await ask(
        request,
        QUESTIONS[action],
        back=back,
        to=f"{USERS}/{subject.id}",
        name=subject.name,
        fields={"action": action},
        template="accounts/ask_user.html",
        own=subject.id == admin.id,
    )


@admin_required
@confirm(N_("You are about to change another account."), USERS)
async def change_user(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/{id}` with `action` (disable, enable, end-sessions, make-admin, remove-admin or
    remove-factors) and `next`.
    """
    fields = await form_fields(request, "action", "next")
    subject = await actions.subject(request)
    await _change(request, admin, subject, fields["action"])
    return await redirect_with_message(request, safe_path(fields["next"], USERS), DONE[fields["action"]])


async def _change(request: Request[AccountState], admin: User, user: User, action: str) -> None:
    match action:
        case "disable" | "enable":
            await actions.set_disabled(request, admin, user, action == "disable")
        case "end-sessions":
            await actions.end_sessions(request, admin, user)
        case "remove-factors":
            await actions.remove_second_factors(request, admin, user)
        case "make-admin" | "remove-admin":
            await actions.set_admin(request, admin, user, action == "make-admin")
        case _:
            raise BadRequest("action: there is no such action", field="action")


routes = [
    Route("/admin/users/{id}", change_user, methods=["POST"]),
    Route("/admin/users/{id}/{action}", ask_to_change_user, methods=["GET"]),
]
