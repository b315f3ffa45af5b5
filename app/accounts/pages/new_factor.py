"""The pages that add a passkey or an authenticator app."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import enrolling_allowed, fresh, fresh_sign_in_required
from app.accounts.helpers import page, raise_if_limited
from app.accounts.lifespan import AccountState, S
from app.accounts.models import User
from app.accounts.pages.security import factor_added, passkey_name
from app.accounts.second_factors.checking import credential_of, relying_party
from app.accounts.second_factors.passkeys import (
    BadPasskey,
    challenge_of,
    parsed,
    registered,
    registration_options,
)
from app.accounts.second_factors.store import TooManyPasskeys
from app.accounts.second_factors.totp import new_totp_secret, provisioning_uri, qr_code, step_of
from app.lazy import imported
from app.web.body import form_fields
from app.web.errors import Conflict
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute

PASSKEY = "/account/passkeys/new"
TOTP = "/account/totp/new"


@enrolling_allowed
async def show_passkey(request: Request[AccountState], user: User) -> Response:
    await fresh(request, PASSKEY)
    return await _passkey_page(request, user)


@fresh_sign_in_required
async def add_passkey(request: Request[AccountState], user: User) -> Response:
    """`POST /account/passkeys/new` with `name` and `credential` (the browser's response as JSON)."""
    factors, party = request.state["second_factors"], relying_party(request)
    await imported("webauthn")
    name = passkey_name((await form_fields(request, "name"))["name"])
    try:
        response = parsed(await credential_of(request))
        challenge = challenge_of(response)
        if not await factors.take_challenge(challenge, _purpose(user)):
            raise BadPasskey("the challenge is unknown, used or too old")
        await factors.add_passkey(user.id, registered(party, response, challenge, name, factors.clock()))
    except BadPasskey:
        return await _passkey_page(request, user, error=N_("This passkey was not accepted."), typed=name)
    except TooManyPasskeys:
        raise Conflict(N_("You have too many passkeys: remove one first.")) from None
    return await factor_added(request, user, "passkey")


@enrolling_allowed
async def show_totp(request: Request[AccountState], user: User) -> Response:
    await fresh(request, TOTP)
    return await _totp_page(request, user, new_totp_secret())


@fresh_sign_in_required
async def add_totp(request: Request[AccountState], user: User) -> Response:
    """`POST /account/totp/new` with `code` and `sealed`, the new secret as the page has it, encrypted."""
    fields, factors = await form_fields(request, "code", "sealed"), request.state["second_factors"]
    secret = factors.opened(user.id, fields["sealed"])
    if secret is None:  # the form waited while its user confirmed, or is from before the secret key changed
        return await _totp_page(request, user, new_totp_secret())
    raise_if_limited(await request.state["limits"].second_factor(user.id))
    step = step_of(secret, fields["code"].replace(" ", ""), factors.clock())
    if step is None:
        wrong = N_("The code is wrong. Check that the clock of your device is right.")
        return await _totp_page(request, user, secret, error=wrong)
    await request.state["limits"].second_factor_passed(user.id)
    await factors.set_totp(user.id, secret, step)
    return await factor_added(request, user, "totp")


async def _passkey_page(
    request: Request[S], user: User, *, error: str | None = None, typed: str | None = None
) -> Response:
    await imported("webauthn")
    factors, party = request.state["second_factors"], relying_party(request)
    challenge = await factors.new_challenge(_purpose(user))
    return await page(
        request,
        "accounts/new_passkey.html",
        user=user,
        error=error,
        typed=typed,
        party=party,
        options=registration_options(party, user, challenge, await factors.passkeys(user.id)),
    )


async def _totp_page(request: Request[S], user: User, secret: str, *, error: str | None = None) -> Response:
    uri = provisioning_uri(secret, user.name, request.state["settings"].site_name)
    return await page(
        request,
        "accounts/new_totp.html",
        user=user,
        error=error,
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        uri=uri,
        qr=qr_code(uri),
        sealed=request.state["second_factors"].sealed(user.id, secret),
    )


def _purpose(user: User) -> str:
    return f"register:{user.id}"


routes = [
    PolicyRoute(PASSKEY, show_passkey, methods=["GET"], policy=IN_POPUP),
    PolicyRoute(PASSKEY, add_passkey, methods=["POST"], policy=IN_POPUP),
    PolicyRoute(TOTP, show_totp, methods=["GET"], policy=IN_POPUP),
    PolicyRoute(TOTP, add_totp, methods=["POST"], policy=IN_POPUP),
]
