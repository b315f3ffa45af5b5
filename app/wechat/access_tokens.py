"""Caches one token for all services. The holder of a lock refreshes it before it expires."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from app.store.client import StoreUnavailable
from app.store.single_flight import SingleFlight
from app.wechat.errcodes import NO_SECOND_TRY
from app.wechat.errors import NoToken, WeChatProblem
from app.wechat.store import StoredToken, TokenStore

MARGIN = 300
"""Seconds before its expiry at which a token is refreshed."""
WAIT, LOOK_AGAIN = 3.0, 0.05
"""Seconds that a caller without a valid token waits for the holder of the lock; seconds between two reads."""
RENEW_INTERVAL, MAX_RENEWALS = 0.5, 30
"""Seconds between two renewals of the lock; after so many it expires, even if WeChat has not answered."""
RETRY_INTERVAL = 60
"""Seconds until the next attempt after a permanent refusal."""
AHEAD_PAUSE = 10
"""Seconds until the next attempt after an early refresh has failed."""


class Refused(Exception):
    """WeChat refuses to give a token."""

    def __init__(self, errcode: int) -> None:
        super().__init__(f"errcode {errcode}")
        self.errcode = errcode


Fetch = Callable[[bool], Awaitable[tuple[str, float]]]
"""Fetches a token from WeChat, with force_refresh or not. Returns (token, lifetime in seconds). Raises Refused,
WeChatProblem.
"""


class TokenCache:
    """One kind of token of one account."""

    def __init__(
        self,
        account: str,
        store: TokenStore,
        fetch: Fetch,
        clock: Callable[[], float],
        margin: float = MARGIN,
        *,
        classic: bool = False,
    ) -> None:
        """`classic`: each fetch gives another token, and costs quota."""
        self.account = account
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._margin = margin
        self._classic = classic
        self._last = StoredToken()
        self._flight: SingleFlight[StoredToken] = SingleFlight()
        self._ahead: set[asyncio.Task[None]] = set()
        self._ahead_from = 0.0

    async def status(self) -> StoredToken:
        return await self._read()

    async def get(self) -> StoredToken:
        """A valid token. Raises NoToken, WeChatProblem, StoreUnavailable."""
        token = await self._read()
        left = token.expires - self._clock()
        if left > self._margin_of(token):
            return token
        if left > 0:
            self._refresh_ahead()
            return token
        return await self._flight.join("wait", self._wait)

    async def replace(self, failed: str, *, by_hand: bool = False) -> StoredToken:
        """Another token than the one that failed on a call; joined by all callers of this worker."""
        return await self._flight.join(f"replace {failed}", lambda: self._replaced(failed, by_hand))

    async def _replaced(self, failed: str, by_hand: bool) -> StoredToken:
        token = await self._store.read(fresh=True)
        if self._good(token, failed, 0):
            return token
        if self._classic and not by_hand and not await self._store.may_replace_classic(self._clock()):
            raise NoToken(self.account, forced_too_often=True)  # what fails is perhaps not the token
        await self._store.expire(failed)
        return await self._wait(failed)

    def _margin_of(self, token: StoredToken) -> float:
        """Half the lifetime of a token that lives shorter than two margins: else each call would refresh it."""
        return max(0.0, min(self._margin, (token.expires - token.refreshed) / 2))

    async def _read(self) -> StoredToken:
        try:
            self._last = await self._store.read()
        except StoreUnavailable:
            if self._last.expires <= self._clock():
                raise
        return self._last

    def _refresh_ahead(self) -> None:
        """Refreshes in the background; callers use the old token meanwhile."""
        if not self._ahead and self._clock() >= self._ahead_from:
            task = asyncio.create_task(self._refresh_quietly())
            self._ahead.add(task)
            task.add_done_callback(self._ahead.discard)

    async def _refresh_quietly(self) -> None:
        try:
            await self._refresh("")
        except (WeChatProblem, StoreUnavailable) as error:
            self._ahead_from = self._clock() + AHEAD_PAUSE
            structlog.get_logger("wechat").warning("a refresh ahead failed", account=self.account, why=str(error))

    async def close(self) -> None:
        for task in list(self._ahead):
            task.cancel()
        await asyncio.gather(*self._ahead, return_exceptions=True)

    async def _wait(self, failed: str = "") -> StoredToken:
        """Refreshes, or waits until the holder of the lock has refreshed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT
        while True:
            token = await self._refresh(failed)
            if token is not None:
                return token
            if loop.time() >= deadline:
                raise NoToken(self.account)
            await asyncio.sleep(LOOK_AGAIN)

    def _good(self, token: StoredToken, failed: str, margin: float) -> bool:
        return token.value not in {"", failed} and token.expires - self._clock() > margin

    async def _refresh(self, failed: str) -> StoredToken | None:
        """The token, refreshed under the lock; None while another holder refreshes and there is none yet."""
        holder = secrets.token_hex(8)
        fence = await self._store.acquire(holder)
        before = await self._store.read(fresh=True)  # the holder before may have refreshed it
        if not fence:
            return before if self._good(before, failed, 0) else None
        async with self._holding(holder):
            if self._good(before, failed, self._margin_of(before)):
                return before
            if before.paused > self._clock():
                raise NoToken(self.account, before.errcode)
            return await self._fetched(before, failed, fence)

    @asynccontextmanager
    async def _holding(self, holder: str) -> AsyncIterator[None]:
        """Renews the lock during the block, and releases it afterwards."""
        renewing = asyncio.create_task(self._renew(holder))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with suppress(StoreUnavailable):  # it expires
                await self._store.release(holder)

    async def _renew(self, holder: str) -> None:
        for _ in range(MAX_RENEWALS):
            await asyncio.sleep(RENEW_INTERVAL)
            with suppress(StoreUnavailable):
                await self._store.renew(holder)

    async def _fetched(self, before: StoredToken, failed: str, fence: int) -> StoredToken:
        try:
            value, seconds = await self._fetch(False)
            if value == failed:
                if not await self._store.may_force(self._clock()):
                    await self._saved(StoredToken(value, self._clock() + seconds, self._clock()), fence)
                    raise NoToken(self.account, forced_too_often=True)
                value, seconds = await self._fetch(True)
        except Refused as refused:
            structlog.get_logger("wechat").error("WeChat gives no token", account=self.account, errcode=refused.errcode)
            if refused.errcode in NO_SECOND_TRY:
                paused = StoredToken(
                    before.value, before.expires, before.refreshed, refused.errcode, self._clock() + RETRY_INTERVAL
                )
                await self._saved(paused, fence)
            raise NoToken(self.account, refused.errcode) from None
        token = StoredToken(value, self._clock() + seconds, self._clock())
        return await self._saved(token, fence)

    async def _saved(self, token: StoredToken, fence: int) -> StoredToken:
        """The token to use from now on: a newer one of another holder wins. Without Redis it is used unsaved."""
        try:
            if not await self._store.save(token, fence):
                token = await self._store.read(fresh=True)
        except StoreUnavailable:
            structlog.get_logger("wechat").warning("a token could not be stored", account=self.account)
        self._last = token
        return token
