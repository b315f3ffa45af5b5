"""Administration: invitations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration import actions
from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import names_of, page, redirect_with_message
from app.accounts.invitations.invitations import MAX_LISTED_INVITATIONS, Invitation
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.accounts.users.profile import BadProfile
from app.web.body import form_fields
from app.web.errors import BadRequest
from app.web.i18n import N_
from app.web.redirects import safe_path

INVITATION_DAYS = frozenset({"1", "7", "30"})
INVITATIONS = "/admin/invitations"
WITHDRAW = Question(
    N_("Withdraw this invitation?"),
    N_("Its link stops working at once. You can invite the right person with a new one."),
    N_("Withdraw"),
)
ROLES = {"": False, "user": False, "admin": True}


@admin_required
async def show_invitations(request: Request[AccountState], admin: User) -> Response:
    return await _page(request, admin)


@admin_required
@confirm(N_("You are about to invite somebody."), INVITATIONS)
async def invite(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/invitations` with `days`, `email`, `note`, `role`, `groups` and `send` (on); shows the link."""
    fields = await form_fields(request, "days", "email", "note", "role", "groups", "send")
    if fields["days"] not in INVITATION_DAYS:
        raise BadRequest(f"days: must be one of {', '.join(sorted(INVITATION_DAYS, key=int))}", field="days")
    if fields["role"] not in ROLES:
        raise BadRequest("role: must be one of user, admin", field="role")
    try:
        link, _ = await actions.invite(
            request,
            admin,
            int(fields["days"]),
            email=fields["email"],
            note=fields["note"],
            is_admin=ROLES[fields["role"]],
            groups=fields["groups"].replace(",", " ").split(),
            send=bool(fields["send"]),
        )
    except BadProfile as bad:
        return await _page(request, admin, error=bad.reason, field=bad.field, typed=fields)
    return await redirect_with_secret(request, admin, INVITATIONS, link)


@admin_required
async def ask_to_withdraw_invitation(request: Request[AccountState], admin: User) -> Response:
    (invitation,) = await _named(request, [await actions.invitation_of(request)])
    back = safe_path(request.query_params.get("next"), INVITATIONS)
    return await ask(request, WITHDRAW, back=back, template="accounts/ask_invitation.html", invitation=invitation)


@admin_required
@confirm(N_("You are about to withdraw an invitation."), INVITATIONS)
async def withdraw_invitation(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/invitations/{id}/withdraw` with `next`: invalidates the link."""
    fields = await form_fields(request, "next")
    await actions.withdraw_invitation(request, admin, await actions.invitation_of(request))
    return await redirect_with_message(
        request, safe_path(fields["next"], INVITATIONS), N_("The invitation has been withdrawn.")
    )


async def _page(
    request: Request[AccountState], admin: User, typed: dict[str, str] | None = None, **mistake: Any
) -> Response:
    """`mistake`: the error and its field; `typed`: the form that has it."""
    return await page(
        request,
        "accounts/invitations.html",
        invitations=await _named(request, await request.state["invitations"].list()),
        most_listed=MAX_LISTED_INVITATIONS,
        inviting=request.state["settings"].registration != "closed",
        invitation_link=await shown_secret(request, admin),
        form=typed or {"email": "", "note": "", "role": "", "groups": "", "days": "7", "send": ""},
        with_mail=request.state["settings"].sends_mail,
        **mistake,
    )


async def _named(request: Request[AccountState], invitations: Sequence[Invitation]) -> list[Invitation]:
    """The invitation with the inviting user's name as `by`."""
    names = await names_of(request, (each.by for each in invitations))
    return [replace(each, by=names[each.by]) for each in invitations]


routes = [
    Route(INVITATIONS, show_invitations, methods=["GET"]),
    Route(INVITATIONS, invite, methods=["POST"]),
    Route("/admin/invitations/{id}/withdraw", ask_to_withdraw_invitation, methods=["GET"]),
    Route("/admin/invitations/{id}/withdraw", withdraw_invitation, methods=["POST"]),
]
