"""Users of the former app: its cookies name them, each once, until the user ends all sessions."""

from starlette.types import Scope

from app.accounts.users.store import NEWCOMER, AccountStore
from app.audit.log import Audit, Event
from app.sessions.flask_format import MAX_AGE
from app.sessions.legacy.cookies import LegacyCookie
from app.store import keys
from app.store.client import Store


class LegacyUsers:
    """For Sessions. Used cookies and ended users are stored in Redis, also with sessions in the cookie.

    An account made while the former app's cookies are accepted may be another person's: no such cookie signs in to
    it. Raises StoreUnavailable.
    """

    def __init__(self, accounts: AccountStore, audit: Audit, store: Store) -> None:
        self._accounts = accounts
        self._audit = audit
        self._store = store

    async def adopt(self, old: LegacyCookie, scope: Scope) -> str | None:
        user = await self._accounts.by_name(old.user)
        if user is None or user.disabled or user.second_factors:
            return None
        if await self._store.idempotent("HEXISTS", keys.user(user.id), NEWCOMER[0]):
            return None
        if await self._store.idempotent("EXISTS", keys.legacy_ended(user.id)):
            return None
        if not await self._store.once("SET", keys.legacy_used(old.digest), 1, "NX", "EX", MAX_AGE):
            return None
        await self._audit.record(
            Event.LEGACY_SIGN_IN,
            user=user.id,
            address=scope["client"][0] if scope["client"] else "",
            request_id=scope["state"]["request_id"],
            detail=old.auth_method,
        )
        return user.id

    async def end_all(self, user: str) -> None:
        await self._store.idempotent("SET", keys.legacy_ended(user), 1, "EX", MAX_AGE)
