"""Administration: the list of users, and actions on several of them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration import actions
from app.accounts.administration.actions import BulkChange
from app.accounts.administration.user_overview import overviews
from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import flash_message, page, redirect_with_message, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.sign_in.reauthentication import confirm
from app.accounts.users.profile import group_of
from app.accounts.users.search import UserFilter
from app.web.body import form_fields
from app.web.errors import BadRequest
from app.web.i18n import N_
from app.web.redirects import safe_path

USERS = "/admin/users"
PAGE_SIZE = 50
QUESTIONS = {
    "disable": Question(
        N_("Disable these accounts?"),
        N_(
            "All sessions and API tokens of these accounts stop working at once. Nobody can sign in with them until you"
            " enable them again."
        ),
        N_("Disable"),
    ),
    "enable": Question(N_("Enable these accounts?"), N_("Their owners can sign in again."), N_("Enable"), danger=False),
    "join": Question(
        N_("Add these accounts to the group %(name)s?"),
        N_("Rules that name the group apply to them at once."),
        N_("Add to the group"),
        danger=False,
    ),
    "leave": Question(
        N_("Take these accounts out of the group %(name)s?"),
        N_("Rules that name the group no longer apply to them."),
        N_("Take out of the group"),
        danger=False,
    ),
}
FILTERS = ("q", "role", "disabled", "group", "never_signed_in")


@admin_required
async def list_users(request: Request[AccountState], admin: User) -> Response:
    query, after = request.query_params, request.query_params.get("after")
    found = await request.state["user_search"].find(UserFilter.from_query(query), after, PAGE_SIZE)
    return await page(
        request,
        "accounts/users.html",
        rows=await overviews(request, found.users),
        filters={name: query.get(name, "")[:64] for name in FILTERS},
        groups=await request.state["users"].groups(),
        after=after,
        total=found.total,
        more=found.after,
    )


@admin_required
async def ask_to_change_users(request: Request[AccountState], admin: User) -> Response:
    """`GET /admin/users/bulk?user=&user=&action=&group=&next=`: one question for all of them."""
    query = request.query_params
    ids = list(dict.fromkeys(query.getlist("user")))[:PAGE_SIZE]
    back = safe_path(query.get("next"), USERS)
    if not ids:
        return await redirect_with_message(request, back, N_("Choose users first."))
    action, group = query.get("action", ""), query.get("group", "")
    _change(action, group)
    users = [user for user_id in ids if (user := await request.state["accounts"].by_id(user_id))]
    return await ask(
        request,
        QUESTIONS[action],
        back=back,
        name=group,
        fields={"users": " ".join(user.id for user in users), "group": group, "action": action},
        template="accounts/ask_users.html",
        subjects=users,
    )


@admin_required
@confirm(N_("You are about to change several accounts."), USERS)
async def change_users(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/bulk` with `users` (ids with spaces between), `action`, `group` and `next`."""
    fields = await form_fields(request, "users", "action", "group", "next")
    ids = fields["users"].split()
    if not 1 <= len(ids) <= PAGE_SIZE:
        raise BadRequest(f"users: must name 1 to {PAGE_SIZE} users", field="users")
    left = await actions.change_many(request, admin, ids, _change(fields["action"], fields["group"]))
    await flash_message(
        request,
        N_("Saved, but some accounts stay as they are: your own, and the last administrator's.")
        if left
        else N_("Saved for all chosen accounts."),
    )
    return see_other(safe_path(fields["next"], USERS))


def _change(action: str, group: str) -> BulkChange:
    """Raises BadRequest."""
    if action in {"disable", "enable"}:
        return BulkChange(disabled=action == "disable")
    if action not in {"join", "leave"}:
        raise BadRequest("action: must be one of disable, enable, join, leave", field="action")
    name = group_of(group, "group")
    return BulkChange(join=name) if action == "join" else BulkChange(leave=name)


routes = [
    Route(USERS, list_users, methods=["GET"]),
    Route("/admin/users/bulk", ask_to_change_users, methods=["GET"]),
    Route("/admin/users/bulk", change_users, methods=["POST"]),
]
