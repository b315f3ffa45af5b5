"""Sign-in and sign-out, the same for pages and the API."""

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from starlette.requests import Request

from app.accounts.helpers import address_of, audit, raise_if_limited
from app.accounts.lifespan import AccountState, S
from app.accounts.models import User
from app.accounts.names import compare_key
from app.accounts.password_hashing import Busy
from app.accounts.password_policy import check_password
from app.audit.log import Event
from app.sessions.session import Session
from app.store.client import StoreUnavailable


async def sign_in(request: Request[AccountState], name: str, password: str, *, brief: bool) -> User | None:
    """Signs in with a password. None for an unknown name and for a wrong password, after the same time (no enumeration
    of users: OWASP ASVS 5.0, 6.3.8). A `brief` session ends with the browser.

    Raises TooMany, Busy, StoreUnavailable.
    """
    state, key, address = request.state, compare_key(name), address_of(request)
    right_password = state["passwords"].verify
    origin = await state["known_origins"].find(request.scope, key, address)
    wait = await state["limits"].sign_in(key, address, origin)
    if wait and not await state["limits"].sign_in_noted(address):
        await audit(request, Event.SIGN_IN_LIMITED, user="")
    raise_if_limited(wait)
    user, stored = await state["accounts"].credentials(name)
    if not await right_password(stored, password) or user is None or user.disabled:
        await audit(request, Event.SIGN_IN_FAILED, user=user or "")
        return None
    await state["limits"].signed_in(key, origin)
    await start_session(request, user, "password", amr=("pwd",), brief=brief)
    # A concurrent change of the password, or disabling of the user, has ended all sessions but this new one. Another
    # sign-in may have replaced the hash of the same password.
    with rollback_unless_verified(request):
        now, stored_now = await state["accounts"].credentials(name)
        changed = stored_now != stored and not await right_password(stored_now, password)
        if now is None or now.disabled or changed:
            await state["sessions"].end(request.scope)
            return None
        await state["known_origins"].note(request.scope, key, address)
    if stored is not None and state["passwords"].needs_rehash(stored):
        with suppress(Busy, StoreUnavailable):  # the next sign-in retries it
            await state["accounts"].replace_password(user.id, stored, await state["passwords"].hash(password))
    return user


async def start_session(
    request: Request[S],
    user: User,
    auth_method: str,
    recheck_at: float = math.inf,
    *,
    auth_time: float | None = None,
    amr: Iterable[str] = (),
    groups: Iterable[str] = (),
    brief: bool | None = False,
) -> Session:
    """Starts a session for an authenticated user. Writes the audit entry first, so that every session has one.

    `auth_time` is when the user authenticated: now if None, 0 if unknown; `amr` is how (RFC 8176); `groups` are those
    that an identity provider names.
    """
    await request.state["before_sign_in"](user, auth_method, address_of(request))
    await audit(request, Event.SIGN_IN, user=user, detail=auth_method)
    await request.state["users"].signed_in(user.id)
    return await request.state["sessions"].begin(
        request.scope, user.id, auth_method, recheck_at, auth_time=auth_time, amr=amr, groups=groups, brief=brief
    )


@contextmanager
def rollback_unless_verified(request: Request[S]) -> Iterator[None]:
    """Drops the new session cookie if the checks in this block fail."""
    with ExitStack() as unless_done:
        unless_done.callback(request.state["sessions"].drop, request.scope)
        yield
        unless_done.pop_all()


async def sign_out(request: Request[AccountState]) -> None:
    """Ends the request's session, if there is one."""
    session = await request.state["sessions"].open(request.scope)
    await request.state["sessions"].end(request.scope)
    if session is not None:
        await audit(request, Event.SIGN_OUT, user=session.user)


async def new_password(request: Request[AccountState], name: str, password: str) -> str:
    """The hash of a new password. Raises WeakPassword, Busy."""
    check_password(password, name)
    return await request.state["passwords"].hash(password)
