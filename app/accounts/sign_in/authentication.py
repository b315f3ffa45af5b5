"""Sign-in and sign-out, the same for pages and the API."""

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from starlette.requests import Request

from app.accounts.helpers import address_of, audit, raise_if_limited
from app.accounts.lifespan import AccountState, S
from app.accounts.models import User
from app.accounts.passwords.hashing import Busy
from app.accounts.passwords.policy import check_password, service_words
from app.accounts.second_factors.checking import AMR, Method, check_code, stamp_of, verified_passkey
from app.accounts.second_factors.store import PendingSignIn
from app.accounts.users.names import compare_key
from app.audit.log import Event
from app.sessions.session import Session
from app.store.client import StoreUnavailable
from app.web.errors import SecondFactorNeeded


class NeedsSecondFactor(SecondFactorNeeded):
    """The first step is done, and the user has a second factor."""

    def __init__(self, user: User, pending: PendingSignIn) -> None:
        super().__init__(second_factors=[*user.second_factors, "recovery_code"])
        self.pending = pending


async def sign_in(
    request: Request[AccountState], name: str, password: str, *, brief: bool, code: str | None = None
) -> User | None:
    """Signs in with a password, and a `code` if the user has a second factor. A `brief` session ends with the browser.

    None for an unknown name and for a wrong password, after the same time (no enumeration of users: OWASP ASVS 5.0,
    6.3.8). Raises NeedsSecondFactor, WrongCode, TooMany, Busy, StoreUnavailable.
    """
    state, right_password = request.state, request.state["passwords"].verify
    origin = await limit(request, name)
    user, stored = await state["accounts"].credentials(name)
    right = await right_password(stored, password)
    if not right or stored is None or user is None or user.disabled:
        await audit(request, Event.SIGN_IN_FAILED, user=user or "")
        return None
    method: Method = "password"
    if user.second_factors:
        if code is None:
            raise NeedsSecondFactor(user, PendingSignIn(user.id, stamp_of(stored), brief))
        method = await check_code(request, user, code)
    await state["limits"].signed_in(compare_key(name), origin)

    async def unchanged(stored_now: str | None) -> bool:
        return stored_now == stored or await right_password(stored_now, password)

    signed_in = await _start(request, user, method, brief, unchanged)
    if signed_in and state["passwords"].needs_rehash(stored):
        with suppress(Busy, StoreUnavailable):  # the next sign-in retries it
            await state["accounts"].replace_password(user.id, stored, await state["passwords"].hash(password))
    return user if signed_in else None


async def finish(request: Request[AccountState], pending: PendingSignIn, code: str) -> User | None:
    """Completes a pending sign-in with a code. None if the user has changed since.

    Raises WrongCode, TooMany, Forbidden, StoreUnavailable.
    """
    state = request.state
    user, stored = await waiting_user(request, pending)
    if user is None:
        return None
    origin = await limit(request, user.name)
    method = await check_code(request, user, code)
    await state["limits"].signed_in(compare_key(user.name), origin)
    if pending.provider_sign_in:
        await state["finish_provider_sign_in"](request, user, pending, AMR[method][1:])
        return user

    async def unchanged(stored_now: str | None) -> bool:
        return stored_now == stored

    return user if await _start(request, user, method, pending.brief, unchanged) else None


async def waiting_user(request: Request[AccountState], pending: PendingSignIn) -> tuple[User | None, str | None]:
    """(the user of a sign-in that waits, the password's hash); None if the user has changed since."""
    user = await request.state["accounts"].by_id(pending.user)
    stored = await request.state["accounts"].password_hash(pending.user)
    if user is None or user.disabled or not user.second_factors or stamp_of(stored) != pending.password:
        return None, None
    return user, stored


async def limit(request: Request[AccountState], name: str) -> str:
    """Spends one try of the name and of the address. Returns the known origin. Raises TooMany."""
    state, key, address = request.state, compare_key(name), address_of(request)
    origin = await state["known_origins"].find(request.scope, key, address)
    wait = await state["limits"].sign_in(key, address, origin)
    if wait and not await state["limits"].sign_in_noted(address):
        await audit(request, Event.SIGN_IN_LIMITED, user="")
    raise_if_limited(wait)
    return origin


async def _start(
    request: Request[AccountState],
    user: User,
    method: Method,
    brief: bool | None,
    unchanged: Callable[[str | None], Awaitable[bool]],
) -> bool:
    """Starts the session; False if the user has changed since. A concurrent change of the password, or disabling of the
    user, has ended all sessions but this new one.
    """
    state = request.state
    await start_session(request, user, method, amr=AMR[method], brief=brief)
    with rollback_unless_verified(request):
        now, stored = await state["accounts"].credentials(user.name)
        same = now is not None and not now.disabled and now.second_factors == user.second_factors
        if not same or not await unchanged(stored):
            await state["sessions"].end(request.scope)
            return False
        await state["known_origins"].note(request.scope, compare_key(user.name), address_of(request))
    return True


async def sign_in_with_passkey(request: Request[AccountState], credential: str, *, brief: bool) -> User | None:
    """Signs in with a passkey, which names its user. None for one that is refused. Raises TooMany, StoreUnavailable."""
    state = request.state
    raise_if_limited(await state["limits"].passkey(address_of(request)))
    user, passkey = await verified_passkey(request, credential)
    if user is None or passkey is None:
        return None
    await start_session(request, user, "passkey", amr=AMR["passkey"], brief=brief)
    with rollback_unless_verified(request):
        now = await state["accounts"].by_id(user.id)
        if now is None or now.disabled or await state["second_factors"].passkey(user.id, passkey.id) is None:
            await state["sessions"].end(request.scope)
            return None
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
    settings = request.state["settings"]
    check_password(password, name, service_words(settings.site_name, settings.public_url))
    return await request.state["passwords"].hash(password)
