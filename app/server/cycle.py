"""uvicorn's cycle of a request and its response, which costs a third as much to begin."""

import asyncio
import logging

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Cycle(RequestResponseCycle):
    """What every request begins with is the class's. The event is made for those who wait: most responses come from
    memory.
    """

    logger = logging.getLogger("uvicorn.error")
    access_log = False  # the middleware writes the access line
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _event: asyncio.Event | None = None

    def __init__(self, protocol: HttpToolsProtocol, *, keep_alive: bool, expect_100_continue: bool) -> None:
        self.scope = protocol.scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.default_headers = protocol.server_state.default_headers
        self.on_response = protocol.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]  # an attribute of uvicorn's
        """Set when the body grows, and when the response or the connection ends."""
        if self._event is None:
            self._event = asyncio.Event()
            if self.response_complete or not self.more_body:
                self._event.set()
        return self._event

    def wake(self) -> None:
        """Sets the event if anybody may wait for it."""
        if self._event is not None:
            self._event.set()

    def end_body(self) -> None:
        self.more_body = False
        self.wake()
