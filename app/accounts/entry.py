"""Coming in and going out, the same for pages and for the API."""

import math

from starlette.requests import Request

from app.accounts.audit import Event
from app.accounts.models import User
from app.accounts.names import compare_key
from app.accounts.passwords import Busy
from app.accounts.quality import check_quality
from app.accounts.state import AccountState, S
from app.accounts.view import address_of, allow, note
from app.web.errors import Unavailable
from app.web.locale import N_
from app.web.session import Session


async def sign_in(request: Request[AccountState], name: str, password: str) -> User | None:
    """Signs in with a password. None when that is not right: which part of it nobody learns, nor how long it took.

    Raises TooMany, Unavailable, StoreAway.
    """
    state, key = request.state, compare_key(name)
    wait = await state["limits"].sign_in(key, address_of(request))
    if wait and not await state["limits"].sign_in_noted(address_of(request)):
        await note(request, Event.SIGN_IN_LIMITED, user="")
    allow(wait)
    user, stored = await state["accounts"].credentials(name)
    if not await right_password(request, stored, password) or user is None or user.disabled:
        await note(request, Event.SIGN_IN_FAILED, user=user or "")
        return None
    await state["limits"].signed_in(key)
    await let_in(request, user, "password")
    # Whoever changed the password or disabled the user at this moment ended the sessions that there were: not this one.
    # Another sign-in may have renewed the hash of the same password.
    now, stored_now = await state["accounts"].credentials(name)
    changed = stored_now != stored and not await right_password(request, stored_now, password)
    if now is None or now.disabled or changed:
        await state["sessions"].end(request.scope)
        return None
    if stored is not None and state["passwords"].needs_rehash(stored):
        await state["accounts"].replace_password(user.id, stored, await hashed(request, password))
    return user


async def let_in(request: Request[S], user: User, how: str, recheck_at: float = math.inf) -> Session:
    """Begins the session of a user who has proved to be one: noted first, for no session goes unnoted."""
    await note(request, Event.SIGN_IN, user=user, detail=how)
    return await request.state["sessions"].begin(request.scope, user.id, how, recheck_at)


async def sign_out(request: Request[AccountState]) -> None:
    """Ends the request's session, if there is one."""
    session = await request.state["sessions"].open(request.scope)
    await request.state["sessions"].end(request.scope)
    if session is not None:
        await note(request, Event.SIGN_OUT, user=session.user)


async def new_password(request: Request[AccountState], name: str, password: str) -> str:
    """The hash of a password that this user may have. Raises WeakPassword, Unavailable."""
    check_quality(password, name)
    return await hashed(request, password)


async def hashed(request: Request[AccountState], password: str) -> str:
    try:
        return await request.state["passwords"].hash(password)
    except Busy as busy:
        raise Unavailable(N_("Too many people are signing in at this moment."), retry_after=busy.retry_after) from None


async def right_password(request: Request[AccountState], stored: str | None, password: str) -> bool:
    try:
        return await request.state["passwords"].verify(stored, password)
    except Busy as busy:
        raise Unavailable(N_("Too many people are signing in at this moment."), retry_after=busy.retry_after) from None
