"""Administration: the page of one user."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration import actions
from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import page, redirect_with_message
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.accounts.users.profile import BadProfile, display_name_of, email_of, groups_of
from app.accounts.users.profile_store import EmailTaken
from app.web.body import form_fields
from app.web.errors import Conflict
from app.web.i18n import N_

USERS = "/admin/users"
REASON = N_("You are about to change another account.")
REMOVE = Question(
    N_("Remove the account of %(name)s?"),
    N_(
        "Its sessions, tokens, linked accounts, groups and rights are removed for ever. Its sites and webhooks stay"
        " with the administrators. The audit log keeps its entries, with the id and the last name."
    ),
    N_("Remove the account"),
    typed=N_("Type the username to confirm"),
)


@admin_required
async def show_user(request: Request[AccountState], admin: User) -> Response:
    return await _page(request, admin)


@admin_required
@confirm(REASON, USERS)
async def change_profile(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/{id}/profile` with `display_name`, `email`, `email_verified` (on) and `groups`."""
    fields = await form_fields(request, "display_name", "email", "email_verified", "groups")
    subject = await actions.subject(request)
    try:
        changes = {
            "display_name": display_name_of(fields["display_name"]),
            "email": email_of(fields["email"]),
            "email_verified": bool(fields["email_verified"]),
            "groups": groups_of(fields["groups"].replace(",", " ").split()),
        }
        await actions.change(request, admin, subject, changes)
    except BadProfile as bad:
        return await _page(request, admin, error=bad.reason, field=bad.field, typed=fields)
    except EmailTaken as taken:
        return await _page(request, admin, error=taken.detail, field="email", typed=fields)
    return await redirect_with_message(request, f"{USERS}/{subject.id}", N_("Saved."))


@admin_required
@confirm(N_("You are about to make a link that sets the password of another account."), USERS)
async def create_reset_link(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/{id}/reset-link`: the user's page shows the link, once."""
    subject = await actions.subject(request)
    url, _ = await actions.reset_link(request, admin, subject)
    return await redirect_with_secret(request, admin, f"{USERS}/{subject.id}", url)


@admin_required
async def ask_to_remove_user(request: Request[AccountState], admin: User) -> Response:
    return await _ask(request, await actions.subject(request))


@admin_required
@confirm(N_("You are about to remove an account."), USERS)
async def remove_user(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/users/{id}/remove` with the user's name as `name`."""
    subject = await actions.subject(request)
    if (await form_fields(request, "name"))["name"] != subject.name:
        return await _ask(request, subject, N_("This is not the name of this user."))
    if subject.id == admin.id:
        raise Conflict(N_("Remove your own account on your account page."))
    await actions.remove(request, admin, subject)
    return await redirect_with_message(request, USERS, N_("The account has been removed."))


async def _ask(request: Request[AccountState], subject: User, error: str | None = None) -> Response:
    return await ask(request, REMOVE, back=f"{USERS}/{subject.id}", name=subject.name, error=error)


async def _page(
    request: Request[AccountState], admin: User, typed: dict[str, str] | None = None, **mistake: Any
) -> Response:
    """`mistake`: the error and its field; `typed`: the form that has it."""
    subject, state = await actions.subject(request), request.state
    return await page(
        request,
        "accounts/user.html",
        subject=subject,
        form=typed
        or {"display_name": subject.display_name, "email": subject.email, "groups": " ".join(subject.groups)},
        sessions=await state["sessions"].page_of_user(subject.id, limit=1),
        tokens=await state["tokens"].list(subject.id),
        identities=await state["identities"].of_user(subject.id),
        entries=await state["audit"].recent_of(subject.id),
        reset_link=await shown_secret(request, admin),
        revocable=state["sessions"].revocable,
        **mistake,
    )


routes = [
    Route(f"{USERS}/{{id}}", show_user, methods=["GET"]),
    Route(f"{USERS}/{{id}}/profile", change_profile, methods=["POST"]),
    Route(f"{USERS}/{{id}}/reset-link", create_reset_link, methods=["POST"]),
    Route(f"{USERS}/{{id}}/remove", ask_to_remove_user, methods=["GET"]),
    Route(f"{USERS}/{{id}}/remove", remove_user, methods=["POST"]),
]
