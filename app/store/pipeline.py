"""One connection that everybody shares: what is asked within one tick of the event loop travels as one pipeline.

A pool would cost a round trip per command and a connection per waiting request; here the commands of all requests
leave in one write and the answers come back in order. It stands on a bare redis-py connection, so that TLS,
passwords, Sentinel and the protocol stay redis-py's business.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

Argument = str | bytes | int | float
Reply = Any
Connect = Callable[[], Awaitable[AbstractConnection]]

RECONNECT_FIRST, RECONNECT_MOST = 0.02, 1.0
"""Seconds between two attempts to connect: doubled from the first to the most."""
GRACE = 0.5
"""Seconds for which callers wait for a lost connection to come back; after them they are refused at once."""


PUSHED = object()
"""Stands for a push message among the replies."""


class Tracker(Protocol):
    """Wants to know of every key that was read on its wire and has changed since (CLIENT TRACKING)."""

    def changed(self, keys: list[bytes] | None) -> None:
        """These keys, or None for all of them, may have other values now."""

    def lost(self) -> None:
        """The connection is gone, and with it all news."""


class StoreAway(Exception):
    """Redis did not answer. `sent` tells whether the command may have been applied all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Wire:
    """A multiplexed connection to one Redis node, which connects again by itself for as long as `run` runs.

    `timeout` (seconds) bounds the wait for an answer; `limit` is how many commands may wait to be sent or answered.
    """

    def __init__(
        self, connect: Connect, *, timeout: float, limit: int = 10_000, tracker: Tracker | None = None
    ) -> None:
        self._connect = connect
        self._tracker = tracker
        self._timeout = timeout
        self._limit = limit
        self._connection: AbstractConnection | None = None
        self._queued: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._sent: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.error: str | None = "not connected yet"
        self.failing = False
        self.commands = 0
        self.connections = 0

    @property
    def up(self) -> bool:
        return self._connection is not None

    def send(self, *command: Argument) -> asyncio.Future[Reply]:
        """Queues a command for this tick's pipeline; the future holds the reply, a ResponseError or StoreAway."""
        if self._connection is None:
            raise StoreAway(self.error or "not connected", sent=False)
        if len(self._queued) + len(self._sent) >= self._limit:
            raise StoreAway("too many commands are waiting", sent=False)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._queued.append((b"".join(self._connection.pack_command(*command)), future))
        self.commands += 1
        self._wake.set()
        return future

    async def wait_up(self, seconds: float) -> bool:
        """Waits for the connection; False at once where it has been away for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.up and not self.failing:
                    await self._changed.wait()
        return self.up

    async def run(self) -> None:
        """Connects, serves, connects again, until cancelled."""
        pause, lost = RECONNECT_FIRST, self._loop.time()
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    connection = await self._connect()
                    await self._track(connection)
            except (RedisError, OSError) as error:  # OSError covers asyncio's TimeoutError
                away = self._loop.time() - lost
                self._now(None, str(error) or "connecting took too long", failing=away > GRACE)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RECONNECT_MOST)
                continue
            pause = RECONNECT_FIRST
            self.connections += 1
            self._now(connection, None)
            try:
                await self._serve(connection)
            finally:
                self._now(None, self.error or "the connection was lost")
                self._abandon()
                if self._tracker is not None:
                    self._tracker.lost()
                with suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
                lost = self._loop.time()

    async def _track(self, connection: AbstractConnection) -> None:
        if self._tracker is None:
            return
        tracker = self._tracker

        async def pushed(message: list[Any]) -> object:
            tracker.changed(message[1])
            return PUSHED

        # redis-py has client-side tracking for its synchronous client only; the parser is ready for ours.
        parser: Any = connection._parser
        parser.set_invalidation_push_handler(pushed)
        await connection.send_command("CLIENT", "TRACKING", "ON")
        await connection.read_response()

    def _now(self, connection: AbstractConnection | None, error: str | None, *, failing: bool = False) -> None:
        self._connection, self.error, self.failing = connection, error, failing
        self._changed.set()
        self._changed.clear()

    async def _serve(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(connection))
                tasks.create_task(self._read(connection))
                tasks.create_task(self._watch())
        except* (RedisError, OSError) as group:
            self.error = str(group.exceptions[0])

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._queued = self._queued, []
            now = self._loop.time()
            self._sent.extend((now, future) for _, future in batch)
            await connection.send_packed_command([command for command, _ in batch], check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                reply = await connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True)
            except ReadOnlyError as error:
                # The node was demoted: nothing was applied, and only a new connection finds its successor.
                self._answer(StoreAway(str(error), sent=False))
                raise
            except ResponseError as error:
                self._answer(error)
            else:
                if reply is not PUSHED:
                    self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        _, future = self._sent.popleft()
        if future.done():  # its caller was cancelled
            return
        if isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    async def _watch(self) -> None:
        """Gives up a connection that is silent while answers are due: a dead peer sends no reset."""
        while True:
            await asyncio.sleep(self._timeout / 4)
            if self._sent and self._loop.time() - self._sent[0][0] > self._timeout:
                raise TimeoutError(f"no answer within {self._timeout:g} s")

    def _abandon(self) -> None:
        reason = self.error or "the connection was lost"
        for _, future in self._sent:
            if not future.done():
                future.set_exception(StoreAway(reason, sent=True))
                future.exception()  # nobody may be waiting any more: not worth a warning
        for _, future in self._queued:
            if not future.done():
                future.set_exception(StoreAway(reason, sent=False))
                future.exception()
        self._sent.clear()
        self._queued.clear()
        self._wake.clear()
