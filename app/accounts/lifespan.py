"""Opens what accounts need, for the lifespan."""

import asyncio
import multiprocessing
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

from app.accounts.current_user import CurrentUser, parse_user
from app.accounts.identities import Identities
from app.accounts.invitations import Invitations
from app.accounts.legacy_users import LegacyUsers
from app.accounts.pages.setup import setup_token
from app.accounts.password_hashing import PasswordHashing
from app.accounts.rate_limits import RateLimits
from app.accounts.secret import digest
from app.accounts.store import AccountStore, AdminExists
from app.accounts.tokens import ApiTokens
from app.audit.log import Audit
from app.sessions.redis_store import CookieSessions, RedisSessions, parse_session
from app.sessions.service import Recheck, Sessions
from app.sessions.session import SessionStore
from app.settings import Settings
from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.tracking import TrackedHashes

RETRY = 1.0
"""Seconds between two attempts to find out whether there is an administrator, while Redis is away."""


class Accounts(TypedDict):
    """What accounts add to the state of requests."""

    accounts: AccountStore
    audit: Audit
    identities: Identities
    invitations: Invitations
    limits: RateLimits
    passwords: PasswordHashing
    current_user: CurrentUser
    sessions: Sessions
    tokens: ApiTokens


@asynccontextmanager
async def open_accounts(
    settings: Settings, store: Store, recheck: Recheck | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[Accounts]:
    """Everything for sessions and users. `clock` gives Unix seconds; tests move it."""
    async with AsyncExitStack() as stack:
        users = await stack.enter_async_context(TrackedHashes(store, parse_user))
        accounts = AccountStore(store, changed=users.forget, clock=clock)
        session_store = await _session_store(settings, store, stack, clock)
        sessions = Sessions(settings, session_store, LegacyUsers(accounts, store), recheck, clock)
        tokens = ApiTokens(store, clock=clock)
        passwords = PasswordHashing()
        stack.callback(passwords.close)
        yield Accounts(
            accounts=accounts,
            audit=Audit(store),
            identities=Identities(store, clock=clock),
            invitations=Invitations(store, clock=clock),
            limits=RateLimits(store),
            passwords=passwords,
            current_user=CurrentUser(sessions, users, tokens),
            sessions=sessions,
            tokens=tokens,
        )


async def print_setup_link(accounts: AccountStore, settings: Settings) -> None:
    """Prints the way in for the first administrator, once a start, as soon as Redis can be asked."""
    start = digest(multiprocessing.current_process().authkey.hex())  # random, and handed on to a supervisor's workers
    worker = secrets.token_hex()
    while True:
        try:
            token = await setup_token(accounts, settings)
            first = await accounts.first_to_print(start, worker)
        except (StoreUnavailable, ResponseError):
            await asyncio.sleep(RETRY)
            continue
        except AdminExists:
            return
        if first:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            place = f"http://{host}:{settings.port}" if settings.port else ""
            # To the terminal only: the log keeps no secrets.
            print(f"tallygate: make the administrator's account at {place}/setup?token={token}", file=sys.stderr)
        return


async def _session_store(
    settings: Settings, store: Store, stack: AsyncExitStack, clock: Callable[[], float]
) -> SessionStore:
    if settings.session_store == "cookie":
        return CookieSessions(settings, clock)
    cache = await stack.enter_async_context(TrackedHashes(store, parse_session))
    return RedisSessions(store, cache, settings, clock)
