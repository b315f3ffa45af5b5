"""Administration: users, invitations, the audit log."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts import administration
from app.accounts.guards import admin_required
from app.accounts.helpers import audit, flash_message, own_origin, page, raise_if_limited, see_other
from app.accounts.invitations import MAX_LISTED_INVITATIONS, Invitation
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.reauthentication import confirm
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.store import LastAdmin
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_
from app.web.redirects import safe_path

DAY = 86_400
INVITATION_DAYS = frozenset({"1", "7", "30"})
USERS = "/admin/users"
DONE = {
    "disable": N_("The account has been disabled and signed out everywhere."),
    "enable": N_("The account has been enabled."),
    "end-sessions": N_("All sessions of the account have been ended."),
    "make-admin": N_("The account is an administrator now."),
    "remove-admin": N_("The account is no longer an administrator."),
}
"""Actions on a user, and the message after each."""
ASKED = frozenset(DONE) - {"enable"}
"""Actions that a page confirms first."""


@admin_required
async def users(request: Request[AccountState], admin: User) -> Response:
    """`GET /admin/users?q=&after=`."""
    return await _users(request, admin)


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
    """`POST /admin/users/{id}` with `action` (disable, enable, end-sessions, make-admin or remove-admin) and `next`."""
    fields = await form_fields(request, "action", "next")
    subject = await administration.subject(request)
    try:
        await _do(request, admin, subject, fields["action"])
    except LastAdmin:
        raise Conflict(N_("This is the last administrator.")) from None
    await flash_message(request, DONE[fields["action"]])
    return see_other(safe_path(fields["next"], USERS))


@admin_required
@confirm(N_("You are about to invite somebody."), USERS)
async def invite(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/invitations` with `days`; the page shows the link, once."""
    fields = await form_fields(request, "days")
    if fields["days"] not in INVITATION_DAYS:
        raise BadRequest(f"days: must be one of {', '.join(sorted(INVITATION_DAYS, key=int))}", field="days")
    raise_if_limited(await request.state["limits"].inviting(admin.id))
    secret = await request.state["invitations"].create(admin.id, int(fields["days"]) * DAY)
    await audit(request, Event.INVITED, user="", by=admin)
    return await redirect_with_secret(request, admin, USERS, f"{own_origin(request)}/sign-up?invitation={secret}")


@admin_required
async def ask_to_withdraw(request: Request[AccountState], admin: User) -> Response:
    """`GET /admin/invitations/{id}/withdraw?next=`: the confirmation page."""
    (invitation,) = await _named(request, [await _invitation(request)])
    back = safe_path(request.query_params.get("next"), USERS)
    return await page(request, "accounts/ask_invitation.html", invitation=invitation, back=back)


@admin_required
@confirm(N_("You are about to withdraw an invitation."), USERS)
async def withdraw(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/invitations/{id}/withdraw` with `next`: invalidates the link."""
    fields = await form_fields(request, "next")
    invitation = await _invitation(request)
    if not await request.state["invitations"].withdraw(invitation.id):
        raise NotFound
    await audit(request, Event.INVITATION_WITHDRAWN, user=invitation.by, by=admin)
    await flash_message(request, N_("The invitation has been withdrawn."))
    return see_other(safe_path(fields["next"], USERS))


@admin_required
async def audit_log(request: Request[AccountState], admin: User) -> Response:
    """`GET /admin/audit?before=`."""
    before = request.query_params.get("before")
    found = await request.state["audit"].page(before)
    names = await _names(request, (user_id for entry in found.entries for user_id in (entry.user, entry.actor)))
    events = [replace(entry, user=names[entry.user], actor=names[entry.actor]) for entry in found.entries]
    return await page(request, "accounts/audit.html", events=events, before=before, more=found.before)


async def _invitation(request: Request[AccountState]) -> Invitation:
    """The invitation that the path names. Raises NotFound."""
    invitation = await request.state["invitations"].by_id(request.path_params["id"])
    if invitation is None:
        raise NotFound
    return invitation


async def _do(request: Request[AccountState], admin: User, user: User, action: str) -> None:
    match action:
        case "disable" | "enable":
            await administration.set_disabled(request, admin, user, action == "disable")
        case "end-sessions":
            await administration.end_sessions(request, admin, user)
        case "make-admin" | "remove-admin":
            await administration.set_admin(request, admin, user, action == "make-admin")
        case _:
            raise BadRequest("action: there is no such action", field="action")


async def _users(request: Request[AccountState], admin: User) -> Response:
    query, after = request.query_params.get("q", "")[:64], request.query_params.get("after")
    found = await request.state["accounts"].search(query, after)
    return await page(
        request,
        "accounts/users.html",
        users=found.users,
        query=query,
        after=after,
        total=found.total,
        more=found.after,
        revocable=request.state["sessions"].revocable,
        invitations=await _named(request, await request.state["invitations"].list()),
        most_listed=MAX_LISTED_INVITATIONS,
        inviting=request.state["settings"].registration != "closed",
        invitation_link=await shown_secret(request, admin),
    )


async def _named(request: Request[AccountState], invitations: Sequence[Invitation]) -> list[Invitation]:
    """The invitation with the inviting user's name as `by`."""
    names = await _names(request, (each.by for each in invitations))
    return [replace(each, by=names[each.by]) for each in invitations]


async def _names(request: Request[AccountState], user_ids: Iterable[str]) -> dict[str, str]:
    """The users' names by id; each is read once."""
    ids = set(user_ids)
    return dict(zip(ids, await asyncio.gather(*(_name(request, user_id) for user_id in ids)), strict=True))


async def _name(request: Request[AccountState], user_id: str) -> str:
    user = await request.state["accounts"].by_id(user_id) if user_id else None
    return user.name if user is not None else user_id


routes = [
    Route(USERS, users, methods=["GET"]),
    Route("/admin/users/{id}", act, methods=["POST"]),
    Route("/admin/users/{id}/{action}", ask, methods=["GET"]),
    Route("/admin/invitations", invite, methods=["POST"]),
    Route("/admin/invitations/{id}/withdraw", ask_to_withdraw, methods=["GET"]),
    Route("/admin/invitations/{id}/withdraw", withdraw, methods=["POST"]),
    Route("/admin/audit", audit_log, methods=["GET"]),
]
