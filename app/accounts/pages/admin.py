"""Administration: acts on a user."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts import administration
from app.accounts.guards import admin_required
from app.accounts.helpers import flash_message, page, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.reauthentication import confirm
from app.accounts.store import LastAdmin
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict, NotFound
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
ASKED = frozenset(DONE) - {"enable"}
"""Actions that a page confirms first."""


@admin_required
async def ask(request: Request[AccountState], admin: User) -> Response:
    """`GET /admin/users/{id}/{action}?next=`: the confirmation page of an action."""
    subject, action = await administration.subject(request), request.path_params["action"]
    if action not in ASKED:
        raise NotFound
    back = safe_path(request.query_params.get("next"), USERS)
    return await page(request, "accounts/ask_user.html", subject=subject, action=action, back=back)


@admin_required
@confirm(N_("You are about to change another account."), USERS)
async def act(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/{id}` with `action` (disable, enable, end-sessions, make-admin, remove-admin or
    remove-factors) and `next`.
    """
    fields = await form_fields(request, "action", "next")
    subject = await administration.subject(request)
    try:
        await _do(request, admin, subject, fields["action"])
    except LastAdmin:
        raise Conflict(N_("This is the last administrator.")) from None
    await flash_message(request, DONE[fields["action"]])
    return see_other(safe_path(fields["next"], USERS))


async def _do(request: Request[AccountState], admin: User, user: User, action: str) -> None:
    match action:
        case "disable" | "enable":
            await administration.set_disabled(request, admin, user, action == "disable")
        case "end-sessions":
            await administration.end_sessions(request, admin, user)
        case "remove-factors":
            await administration.remove_second_factors(request, admin, user)
        case "make-admin" | "remove-admin":
            await administration.set_admin(request, admin, user, action == "make-admin")
        case _:
            raise BadRequest("action: there is no such action", field="action")


routes = [
    Route("/admin/users/{id}", act, methods=["POST"]),
    Route("/admin/users/{id}/{action}", ask, methods=["GET"]),
]
