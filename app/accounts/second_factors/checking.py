"""Checks of second factors: codes, and passkeys with their challenge. Each failure is audited."""

import hashlib
from typing import Any, Literal

from starlette.requests import Request

from app.accounts.helpers import audit, own_origin, raise_if_limited
from app.accounts.lifespan import S
from app.accounts.models import User
from app.accounts.second_factors.passkeys import (
    MAX_CREDENTIAL_LENGTH,
    BadPasskey,
    Passkey,
    RelyingParty,
    challenge_of,
    parsed,
    user_handle_of,
    verified_count,
)
from app.accounts.second_factors.recovery_codes import code_digest
from app.accounts.second_factors.store import Cloned
from app.accounts.second_factors.totp import step_of
from app.audit.log import Event
from app.lazy import imported
from app.web.body import form_of
from app.web.errors import BadRequest, WrongCode

SIGN_IN = "sign-in"
"""The purpose of a challenge that any user's passkey may answer."""
Method = Literal["password", "totp", "recovery-code", "passkey"]
AMR: dict[Method, tuple[str, ...]] = {
    "password": ("pwd",),
    "totp": ("pwd", "otp", "mfa"),
    "recovery-code": ("pwd", "otp", "mfa"),
    "passkey": ("hwk", "user", "mfa"),
}
"""How a user authenticated (RFC 8176); a passkey is a key and the check of its user."""


async def credential_of(request: Request[Any]) -> str:
    """The field `credential` of a form, which is longer than other fields may be; "" if missing. Raises BadRequest."""
    value = (await form_of(request)).get("credential", "")
    if not isinstance(value, str) or len(value) > MAX_CREDENTIAL_LENGTH:
        raise BadRequest(
            f"credential: must be a text of at most {MAX_CREDENTIAL_LENGTH} characters", field="credential"
        )
    return value


def relying_party(request: Request[S]) -> RelyingParty:
    """The service at `public_url`, or where the request came to."""
    return RelyingParty(own_origin(request), request.state["settings"].site_name)


def stamp_of(password_hash: str | None) -> str:
    """Tells passwords apart without their hash."""
    return hashlib.sha256((password_hash or "").encode()).hexdigest()


async def check_code(request: Request[S], user: User, code: str) -> Method:
    """Uses up a code of the authenticator app or a recovery code. Raises WrongCode, TooMany."""
    state, recovery = request.state, code_digest(code)
    raise_if_limited(await state["limits"].second_factor(user.id))
    if recovery is not None:
        right = await state["second_factors"].use_code(user.id, recovery)
    else:
        right = await _use_totp(request, user, code.replace(" ", ""))
    if not right:
        await audit(request, Event.SIGN_IN_FAILED, user=user, detail="code")
        raise WrongCode
    await state["limits"].second_factor_passed(user.id)
    if recovery is None:
        return "totp"
    await audit(request, Event.RECOVERY_CODE_USED, user=user)
    return "recovery-code"


async def _use_totp(request: Request[S], user: User, code: str) -> bool:
    factors = request.state["second_factors"]
    secret = await factors.totp_secret(user.id)
    step = step_of(secret, code, factors.clock()) if secret is not None else None
    return step is not None and await factors.use_step(user.id, step)


async def verified_passkey(request: Request[S], credential: str) -> tuple[User | None, Passkey | None]:
    """The user and the passkey of a browser's response; None for one that is refused."""
    await imported("webauthn")
    user: User | None = None
    detail = "passkey"
    try:
        response = parsed(credential)
        challenge = challenge_of(response)
        if not await request.state["second_factors"].take_challenge(challenge, SIGN_IN):
            raise BadPasskey("the challenge is unknown, used or too old")
        user = await request.state["accounts"].by_id(user_handle_of(response))
        if user is None or user.disabled:
            raise BadPasskey("there is no such user")
        return user, await _used(request, user, response, challenge)
    except Cloned:
        detail = "passkey-cloned"
    except BadPasskey:
        pass
    await audit(request, Event.SIGN_IN_FAILED, user=user or "", detail=detail)
    return None, None


async def _used(request: Request[S], user: User, response: dict[str, Any], challenge: bytes) -> Passkey:
    """The user's passkey, whose counter is stored. Raises BadPasskey, Cloned."""
    factors = request.state["second_factors"]
    passkey = await factors.passkey(user.id, response["id"])
    if passkey is None:
        raise BadPasskey("the user has no such passkey")
    count = verified_count(relying_party(request), response, challenge, passkey)
    if not await factors.use_passkey(user.id, passkey.id, count):
        raise BadPasskey("the passkey was removed meanwhile")
    return passkey
