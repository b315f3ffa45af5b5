"""A connection shared by all requests (auto-pipelining): the commands of one tick of the event loop form one pipeline.

A pool would cost a round trip per command and a connection per waiting request; here the commands of all requests
leave in one write, and the replies come back in order. It uses a bare redis-py connection, which does TLS,
authentication, Sentinel and the protocol.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from app.store.pushes import Invalidation, Message, Tracker, receive_pushes
from app.store.refusals import MAX_PAUSE, Refusals
from app.store.tasks import run_until_one_ends

Argument = str | bytes | int | float
Reply = Any
Connect = Callable[[], Awaitable[AbstractConnection]]

RECONNECT_FIRST, RECONNECT_MAX = 0.02, 1.0
"""Seconds between two attempts to connect: doubled up to the maximum."""
GRACE = 0.5
"""Seconds for which callers wait for a lost connection; later calls fail at once."""


class StoreUnavailable(Exception):
    """Redis did not reply. `sent` tells whether the command may have been applied all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Interrupted(StoreUnavailable):
    """The connection was lost during the command."""


class NodeConnection:
    """A multiplexed connection to one Redis node, which reconnects for as long as `run` runs.

    `connect` has to be bounded in time. `timeout` (seconds) bounds the wait for an answer; `limit` is how many commands
    may wait to be sent or answered.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        timeout: float,
        limit: int = 10_000,
        tracker: Tracker | None = None,
        refusals: Refusals | None = None,
        name: str = "",
    ) -> None:
        self._connect = connect
        self._refusals = refusals or Refusals()
        self._part = ("tracking" if tracker is not None else "the connection") + (f" to {name}" if name else "")
        self._demoted = False
        self._tracker = tracker
        self._timeout = timeout
        self._limit = limit
        self._connection: AbstractConnection | None = None
        self._queued: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._sent: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._down_since = self._loop.time()
        self._refuse_from = self._down_since + timeout
        self.error: str | None = "not connected yet"
        self.commands = 0
        self.connections = 0

    @property
    def up(self) -> bool:
        return self._connection is not None

    @property
    def failing(self) -> bool:
        """Whether it has been down for longer than GRACE."""
        return self._connection is None and self._loop.time() >= self._refuse_from

    def send(self, *command: Argument) -> asyncio.Future[Reply]:
        """Queues a command for this tick's pipeline; the future holds the reply, ResponseError or StoreUnavailable."""
        if self._connection is None:
            raise StoreUnavailable(self.error or "not connected", sent=False)
        if len(self._queued) + len(self._sent) >= self._limit:
            raise StoreUnavailable("too many commands are waiting", sent=False)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._queued.append((hiredis.pack_command(cast(Any, command)), future))  # its stub knows one argument only
        self.commands += 1
        self._wake.set()
        return future

    async def wait_up(self, until: float) -> bool:
        """Waits for the connection until this time of the loop's clock; False at once if it is `failing`."""
        while not self.up:
            latest = min(until, self._refuse_from)
            if self._loop.time() >= latest:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout_at(latest):
                    await self._changed.wait()
        return True

    async def run(self) -> None:
        """Connects, serves and reconnects until cancelled."""
        pause = RECONNECT_FIRST
        while True:
            try:
                connection = await self._open()
            except (RedisError, OSError) as error:  # OSError covers asyncio's TimeoutError
                self._refuse_from = min(self._refuse_from, self._down_since + GRACE)
                self._now(None, str(error) or "connecting took too long")
                for_good = self._refusals.note(self._part, error) and not isinstance(error, ReadOnlyError)
                most = MAX_PAUSE if for_good else RECONNECT_MAX
            else:
                self._refusals.clear(self._part)
                pause, most = RECONNECT_FIRST, RECONNECT_MAX
                await self._serve(connection)
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def _open(self) -> AbstractConnection:
        connection = await self._connect()
        async with AsyncExitStack() as unless_done:
            unless_done.push_async_callback(connection.disconnect, nowait=True)
            if self._demoted:
                await self._check_primary(connection)
            if self._tracker is not None:
                await self._track(connection)
            unless_done.pop_all()
        return connection

    async def _check_primary(self, connection: AbstractConnection) -> None:
        """Raises ReadOnlyError while the server that refused a write is still a replica."""
        async with asyncio.timeout(self._timeout):
            if await role(connection) == b"slave":
                raise ReadOnlyError("You can't write against a read only replica.")
        self._demoted = False

    def _now(self, connection: AbstractConnection | None, error: str | None) -> None:
        self._connection, self.error = connection, error
        self._changed.set()
        self._changed.clear()

    def _lose(self, reason: str) -> None:
        self._down_since = self._loop.time()
        self._refuse_from = self._down_since + GRACE
        self._now(None, reason)

    async def _serve(self, connection: AbstractConnection) -> None:
        """Sends and reads until the connection is lost; then fails the pending commands."""
        reason = "the connection was lost"
        self.connections += 1
        self._now(connection, None)
        if self._tracker is not None:
            self._tracker.opened()
        try:
            await run_until_one_ends(self._write(connection), self._read(connection), self._watch())
        except (RedisError, OSError, RuntimeError) as error:  # RuntimeError: uvloop's, of a transport just closed
            reason = str(error) or reason
        finally:
            self._lose(reason)
            self._abandon(reason)
            if self._tracker is not None:
                self._tracker.lost(self)
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _track(self, connection: AbstractConnection) -> None:
        receive_pushes(connection)
        async with asyncio.timeout(self._timeout):
            await connection.send_command("CLIENT", "TRACKING", "ON")
            await connection.read_response()

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._queued = self._queued, []
            now = self._loop.time()
            self._sent.extend((now, future) for _, future in batch)
            await connection.send_packed_command([command for command, _ in batch], check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        demoted: ReadOnlyError | None = None
        while demoted is None or self._sent or self._queued:
            try:
                reply = await connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True)
            except ReadOnlyError as error:
                # The node was demoted: nothing was applied, and a new connection finds its successor. Replies to the
                # other commands are still read.
                self._answer(Interrupted(str(error), sent=False))
                self._lose(str(error))
                demoted, self._demoted = error, True
            except (ResponseError, BusyLoadingError) as error:
                self._answer(error)
            else:
                self._receive(reply)
        raise demoted

    def _receive(self, reply: Reply | Invalidation | Message) -> None:
        if self._tracker is not None and isinstance(reply, Invalidation):
            self._tracker.changed(reply.keys)
        elif self._tracker is not None and isinstance(reply, Message):
            self._tracker.message(*reply)
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        try:
            _, future = self._sent.popleft()
        except IndexError:
            raise InvalidResponse("Redis sent a reply without a command") from None
        if isinstance(reply, Exception):
            _fail(future, reply)
        elif not future.done():  # else its caller was cancelled
            future.set_result(reply)

    async def _watch(self) -> None:
        """Gives up a connection without a reply in time: a dead peer sends no reset.

        An idle tracking connection sends PING, so that a dead peer is detected.
        """
        while True:
            now = self._loop.time()
            if self._tracker is not None and self.up and not self._sent and not self._queued:
                self.send("PING")
            due = (self._sent[0][0] if self._sent else now) + self._timeout
            if due <= now:
                raise TimeoutError(f"no answer within {self._timeout:g} s")
            await asyncio.sleep(due - now)

    def _abandon(self, reason: str) -> None:
        for _, future in self._sent:
            _fail(future, Interrupted(reason, sent=True))
        for _, future in self._queued:
            _fail(future, Interrupted(reason, sent=False))
        self._sent.clear()
        self._queued.clear()
        self._wake.clear()


async def role(connection: AbstractConnection) -> bytes | None:
    """The server's own role (master or slave); None where it may not be asked."""
    await connection.send_command("ROLE")
    try:
        return bytes((await connection.read_response())[0])
    except NoPermissionError:
        return None


def _fail(future: asyncio.Future[Reply], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as retrieved: its caller may be gone
