"""Actions of administrators, the same for pages and the API; each writes its audit entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.accounts.email.mails import NO_MAIL
from app.accounts.helpers import audit, own_origin, raise_if_limited
from app.accounts.invitations.invitations import Invitation
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.users.profile import BadProfile, email_of, groups_of, note_of
from app.accounts.users.profile_store import Groups
from app.accounts.users.store import LastAdmin, NoSuchUser
from app.audit.log import Event
from app.web.errors import NotFound
from app.web.i18n import N_

DAY = 86_400


async def subject(request: Request[AccountState]) -> User:
    """The user that the path names. Raises NotFound."""
    user = await request.state["accounts"].by_id(request.path_params["id"])
    if user is None:
        raise NotFound
    return user


async def change(request: Request[AccountState], admin: User, user: User, fields: Mapping[str, Any]) -> None:
    """Changes the named fields, those that may be refused first. Raises LastAdmin, EmailTaken, NoSuchUser."""
    if "email" in fields or "email_verified" in fields:
        await set_email(request, admin, user, fields)
    if "disabled" in fields:
        await set_disabled(request, admin, user, fields["disabled"])
    if "is_admin" in fields:
        await set_admin(request, admin, user, fields["is_admin"])
    if "display_name" in fields and fields["display_name"] != user.display_name:
        await request.state["users"].set_display_name(user.id, fields["display_name"])
        await audit(request, Event.PROFILE_CHANGED, user=user, by=admin, detail="display_name")
    if "groups" in fields:
        await change_groups(request, admin, user, lambda _: fields["groups"])


async def set_email(request: Request[AccountState], admin: User, user: User, fields: Mapping[str, Any]) -> None:
    """An administrator who names an address vouches for it, unless `email_verified` is false."""
    email = fields.get("email", user.email)
    verified = fields.get("email_verified", bool(email) if "email" in fields else user.email_verified)
    if (email, verified) != (user.email, user.email_verified):
        await request.state["users"].set_email(user.id, email, verified=verified)
        await audit(request, Event.EMAIL_CHANGED, user=user, by=admin)


async def set_disabled(request: Request[AccountState], admin: User, user: User, disabled: bool) -> None:
    """Disables and signs out everywhere, or enables. Raises LastAdmin."""
    await request.state["accounts"].set_disabled(user.id, disabled)
    if disabled:
        await request.state["sessions"].end_all(user.id)
    await audit(request, Event.DISABLED if disabled else Event.ENABLED, user=user, by=admin)


async def set_admin(request: Request[AccountState], admin: User, user: User, is_admin: bool) -> None:
    """Raises LastAdmin."""
    await request.state["accounts"].set_admin(user.id, is_admin)
    detail = "make-admin" if is_admin else "remove-admin"
    await audit(request, Event.ROLE_CHANGED, user=user, by=admin, detail=detail)


async def change_groups(
    request: Request[AccountState], admin: User, user: User, change: Callable[[Groups], Groups]
) -> None:
    before, after = await request.state["users"].change_groups(user.id, change)
    changes = [f"+{name}" for name in after if name not in before] + [f"-{x}" for x in before if x not in after]
    if changes:
        await audit(request, Event.GROUPS_CHANGED, user=user, by=admin, detail=" ".join(changes))


@dataclass(frozen=True, slots=True)
class BulkChange:
    """A change of many users at once. None leaves a field as it is."""

    disabled: bool | None = None
    join: str | None = None
    leave: str | None = None


async def change_many(
    request: Request[AccountState], admin: User, user_ids: Sequence[str], change: BulkChange
) -> list[str]:
    """Returns the ids of users that were left as they are: the administrator and the last one (when disabled), and
    those who are removed meanwhile.
    """
    left = []
    for user_id in dict.fromkeys(user_ids):
        user = await request.state["accounts"].by_id(user_id)
        try:
            if user is None or (change.disabled and user.id == admin.id):
                left.append(user_id)
                continue
            await _change_one(request, admin, user, change)
        except (LastAdmin, NoSuchUser, BadProfile):
            left.append(user_id)
    return left


async def _change_one(request: Request[AccountState], admin: User, user: User, change: BulkChange) -> None:
    if change.disabled is not None and change.disabled != user.disabled:
        await set_disabled(request, admin, user, change.disabled)
    await change_groups(
        request, admin, user, lambda now: groups_of(sorted({*now, change.join or ""} - {change.leave or "", ""}))
    )


async def invite(
    request: Request[AccountState],
    admin: User,
    days: int,
    *,
    email: str = "",
    note: str = "",
    is_admin: bool = False,
    groups: Sequence[str] = (),
    send: bool = False,
) -> tuple[str, Invitation]:
    """Returns (the link, the invitation), and mails it if `send`. Raises BadProfile, TooMany."""
    email, note, checked = email_of(email), note_of(note), groups_of([*groups])
    if send and not request.state["mail"].enabled:
        raise BadProfile("send", NO_MAIL)
    if send and not email:
        raise BadProfile("email", N_("An address is needed to send the invitation to."))
    raise_if_limited(await request.state["limits"].inviting(admin.id))
    secret = await request.state["invitations"].create(
        admin.id, days * DAY, email=email, note=note, is_admin=is_admin, groups=checked
    )
    invitation = await request.state["invitations"].by_secret(secret)
    await audit(request, Event.INVITED, user="", by=admin, detail=email)
    path = f"sign-up?invitation={secret}"
    if send:
        locale = request.state["pages"].locale_of(request.scope)
        await request.state["mail"].enqueue("invitation", to=email, by=admin.label, link=path, locale=locale)
    return f"{own_origin(request)}/{path}", invitation


async def withdraw_invitation(request: Request[AccountState], admin: User, invitation: Invitation) -> None:
    """Invalidates the link. Raises NotFound."""
    if not await request.state["invitations"].withdraw(invitation.id):
        raise NotFound
    await audit(request, Event.INVITATION_WITHDRAWN, user=invitation.by, by=admin)


async def invitation_of(request: Request[AccountState]) -> Invitation:
    """The invitation that the path names. Raises NotFound."""
    invitation = await request.state["invitations"].by_id(request.path_params["id"])
    if invitation is None:
        raise NotFound
    return invitation


async def end_sessions(request: Request[AccountState], admin: User, user: User) -> None:
    """Signs the user out everywhere."""
    ended = await request.state["sessions"].end_all(user.id)
    await audit(request, Event.SESSION_ENDED, user=user, by=admin, detail=str(ended))


async def reset_link(request: Request[AccountState], admin: User, user: User) -> tuple[str, float]:
    """(a link that sets a new password, when it expires)."""
    stored = await request.state["accounts"].password_hash(user.id)
    secret, expires = await request.state["reset_links"].create(user.id, stored)
    await audit(request, Event.RESET_LINK_CREATED, user=user, by=admin)
    return f"{own_origin(request)}/reset?token={secret}", expires


async def remove_second_factors(request: Request[AccountState], admin: User, user: User) -> bool:
    """Whether the user had any."""
    removed = await request.state["second_factors"].remove_all(user.id)
    if removed:
        await audit(request, Event.FACTOR_REMOVED, user=user, by=admin, detail="all")
    return removed


async def create_group(request: Request[AccountState], admin: User, name: str) -> bool:
    """Whether the group is new."""
    created = await request.state["users"].create_group(name)
    if created:
        await audit(request, Event.GROUP_CREATED, user="", by=admin, detail=name)
    return created


async def remove_group(request: Request[AccountState], admin: User, name: str) -> bool:
    """Whether there was such a group."""
    removed = await request.state["users"].remove_group(name)
    if removed:
        await audit(request, Event.GROUP_REMOVED, user="", by=admin, detail=name)
    return removed


async def remove(request: Request[AccountState], by: User, user: User) -> None:
    """Removes the account with everything of the user; audit entries stay. Raises LastAdmin."""
    state = request.state
    await state["accounts"].begin_removal(user.id)  # refuses the last administrator; nobody can sign in meanwhile
    await state["sessions"].end_all(user.id)
    for token in await state["tokens"].list(user.id):
        await state["tokens"].revoke(user.id, token.id)
    for invitation in await state["invitations"].made_by(user.id):
        await state["invitations"].withdraw(invitation.id)
    await state["identities"].remove_all(user.id)
    await state["second_factors"].remove_all(user.id)
    for kept in state["personal_data"].values():
        await kept.forget(user.id)
    await audit(request, Event.USER_REMOVED, user=user, by=by if by.id != user.id else None, detail=user.name)
    await state["accounts"].remove(user)
