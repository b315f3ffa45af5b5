"""The sign-up page; the setting `registration` decides whether it is open, by invitation, or closed."""

from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import address_of, audit, page, raise_if_limited, see_other, with_limit
from app.accounts.lifespan import AccountState
from app.accounts.pages.landing import landing
from app.accounts.pages.verify_email import send_verification
from app.accounts.passwords.policy import WeakPassword
from app.accounts.sign_in import authentication
from app.accounts.users.names import BadName
from app.accounts.users.store import BadInvitation, NameTaken
from app.audit.log import Event
from app.store.client import StoreUnavailable
from app.web.body import form_fields
from app.web.errors import Forbidden, TooMany
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute
from app.web.redirects import safe_path


async def show_sign_up(request: Request[AccountState]) -> Response:
    invitation = request.query_params.get("invitation")
    await _check(request, invitation)
    return await _form(request, request.query_params.get("next"), invitation)


async def sign_up(request: Request[AccountState]) -> Response:
    """`POST /sign-up` with `username`, `password`, `next` and perhaps `invitation`: makes the account and signs in."""
    fields = await form_fields(request, "username", "password", "next", "invitation")
    state, name, invitation = request.state, fields["username"], fields["invitation"] or None
    await _check(request, invitation)
    try:
        raise_if_limited(await state["limits"].sign_up(address_of(request)))
        invited = invitation
        if state["settings"].registration == "open":
            invited = await state["invitations"].valid(invitation)
        elif invited is not None:
            raise_if_limited(await state["limits"].invitation(invited))
        password_hash = await authentication.new_password(request, name, fields["password"])
        user = await state["accounts"].create(
            name, password_hash, invitation=invited, newcomer=state["settings"].legacy
        )
    except TooMany as limited:
        return with_limit(request, limited, await _form(request, fields["next"], invitation, name, wait=limited.wait))
    except BadInvitation:
        raise Forbidden(_uninvited()) from None
    except (BadName, WeakPassword) as wrong:
        field, reason = ("username" if isinstance(wrong, BadName) else "password"), wrong.reason
    except NameTaken:
        field, reason = "username", N_("This name is taken.")
    else:
        await audit(request, Event.USER_CREATED, user=user, detail="sign-up")
        await authentication.start_session(request, user, "sign-up", amr=("pwd",))
        if user.email and not user.email_verified:  # the link is no proof: the administrator saw it
            with suppress(StoreUnavailable):  # the account page sends another one
                await send_verification(request, user.id, user.email)
        return see_other(await landing(request, user, safe_path(fields["next"])))
    return await _form(request, fields["next"], invitation, name, error=reason, field=field)


async def _form(
    request: Request[AccountState], target: str | None, invitation: str | None, username: str = "", **context: Any
) -> Response:
    return await page(
        request,
        "accounts/sign_up.html",
        next=safe_path(target),
        invitation=invitation,
        providers=request.state["sign_in_options"],
        username=username,
        **{"wait": 0} | context,
    )


async def _check(request: Request[AccountState], invitation: str | None) -> None:
    """Raises Forbidden if the visitor may not sign up."""
    match request.state["settings"].registration:
        case "open":
            return
        case "invitation":
            if invitation is None or not await request.state["invitations"].peek(invitation):
                raise Forbidden(_uninvited())
        case _:
            raise Forbidden(N_("Sign-up is closed."))


def _uninvited() -> str:
    return N_("Sign-up needs a valid invitation.")


routes = [
    PolicyRoute("/sign-up", show_sign_up, methods=["GET"], policy=IN_POPUP),
    PolicyRoute("/sign-up", sign_up, methods=["POST"], policy=IN_POPUP),
]
