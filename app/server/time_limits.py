"""uvicorn's HTTP protocol with limits of time. Two timers serve all requests of a connection: setting and cancelling
one for each takes as long as its response.
"""

import asyncio
from typing import NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.server.cycle import Cycle
from app.server.security_headers import SECURITY_HEADERS

CLIENT_LIMIT = 30
"""Seconds between two checks for a stalled client: one that withholds its request (Slowloris), or reads no response."""
CLIENT_LIMIT_AT_STOP = 2
"""Likewise for a server that stops. It does not wait longer for the rest of a request."""


class Progress(NamedTuple):
    """What a connection has done until a check."""

    scope: object
    """The last request that has begun."""
    received: int
    """Bytes of bodies."""
    drained: int
    """How often responses that had waited for the client went on."""
    unsent: int
    """Bytes that wait for the client to read, where nothing is added to them."""


class LimitedProtocol(HttpToolsProtocol):
    """Closes idle connections, and those of stalled clients, which uvicorn waits for for ever."""

    cycle: Cycle
    _answering: Cycle | None = None
    """The request that is being responded to; `cycle` is the last one that was read."""
    _received = 0
    _drained = 0
    _idle_since: float | None = None
    _stall_check: asyncio.TimerHandle | None = None
    _stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._begin_idle()  # a new connection may be as idle as one that is kept alive
        self._schedule_stall_check(CLIENT_LIMIT)

    def data_received(self, data: bytes) -> None:
        """Notes that the connection is not idle; the subclass reads the data."""
        self._idle_since = None

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        super().on_body(body)

    def resume_writing(self) -> None:
        self._drained += 1
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_stall_check()
        if self._answering is not None and not self._answering.response_complete:  # uvicorn tells only the last one
            self._answering.disconnected = True
            self._answering.wake()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        super().shutdown()
        self._stopping = True
        self._cancel_stall_check()
        self._schedule_stall_check(CLIENT_LIMIT_AT_STOP)

    def _begin_idle(self) -> None:
        """Notes that nothing is under way."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # it is set again when the connection is idle
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self._close_if_idle)
        elif not self.transport.is_closing():
            self.transport.close()

    def _progress(self) -> Progress:
        nothing_added = self.flow.write_paused or self.transport.is_closing()
        unsent = self.transport.get_write_buffer_size() if nothing_added else 0
        return Progress(self.scope, self._received, self._drained, unsent)

    def _schedule_stall_check(self, seconds: float) -> None:
        self._stall_check = self.loop.call_later(seconds, self._check_for_stall, seconds, self._progress())

    def _cancel_stall_check(self) -> None:
        if self._stall_check is not None:
            self._stall_check.cancel()

    def _check_for_stall(self, seconds: float, before: Progress) -> None:
        """Disconnects a client that has made no progress since the last check."""
        now = self._progress()
        if now.drained == before.drained and 0 < before.unsent <= now.unsent:
            self.transport.abort()
            return
        if not self.transport.is_closing():
            self._check_for_withheld_request(now, before)
        self._schedule_stall_check(seconds)

    def _check_for_withheld_request(self, now: Progress, before: Progress) -> None:
        """Disconnects a client whose request's head is still not whole, or that has sent nothing of its body."""
        cycle = cast(Cycle | None, self.cycle)
        if now.scope is not before.scope:
            return  # this request has begun since the last check: many clients send its body by itself
        if cycle is None or cycle.response_complete:
            if self._idle_since is None:
                self.transport.close()
        elif (
            cycle.more_body
            and not (self.flow.read_paused or cycle.waiting_for_100_continue or cycle.response_started)
            and (self._stopping or now.received == before.received)
        ):
            self._refuse(408, "The body did not come in time.")

    def _refuse(self, status: int, reason: str) -> None:
        """Responds to a malformed request and closes the connection; without a word where another response would be
        mistaken for it, or is under way.
        """
        if self.transport.is_closing():
            return
        pending = self._answering
        if pending is None or pending.response_complete or (pending is self.cycle and not pending.response_started):
            kind, length = (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(reason))
            headers = [*self.server_state.default_headers, kind, length, *SECURITY_HEADERS, (b"connection", b"close")]
            lines = [b"%s: %s\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", reason.encode()]))
        self.transport.close()
