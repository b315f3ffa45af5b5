"""An HTTP/1.1 connection to an upstream, parsed by httptools: one request at a time, bodies streamed both ways."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import cast

import httptools

Body = bytes | AsyncIterator[bytes]
MAX_HEAD_BYTES = 64 * 1024
MAX_BUFFERED = 256 * 1024
"""Bytes of a response that are buffered; beyond, reading from the socket pauses."""


class BrokenConnection(Exception):
    """The connection ended too early, or the response is not HTTP/1.1."""


class UpstreamConnection(asyncio.Protocol):
    """`timeout` bounds each wait in seconds. Every coroutine may raise TimeoutError and BrokenConnection."""

    def __init__(self, timeout: float) -> None:
        self.closed = False
        self.answered = False
        """Whether a part of the response has arrived."""
        self.ended = True
        self.status = 0
        self.headers: dict[str, str] = {}
        self.idle_since = 0.0
        self._timeout = timeout
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._sent = self._complete = False
        self._bodiless = self._has_head = self._until_close = self._cannot_write = self._stopped = False
        self._head_bytes = self._buffered = 0
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    @property
    def reusable(self) -> bool:
        """Whether the last request and response are complete and the connection is open."""
        return self._sent and self._complete and not self.closed

    async def request(self, method: str, head: bytes, body: Body, *, chunked: bool = False) -> None:
        """Sends the request and waits for the head of its response."""
        self._bodiless = method in {"HEAD", "CONNECT"}
        self._expect_response()
        if isinstance(body, bytes):
            self._transport.write(head + body)
            self._sent = True
        else:
            self._transport.write(head)
            self._sent = await self._send(body, chunked)
        async with asyncio.timeout(self._timeout):
            while not self._has_head:
                await self._change()

    async def iter_body(self) -> AsyncIterator[bytes]:
        """Yields the body of the response as it arrives."""
        while True:
            if self._chunks:
                data, self._chunks, self._buffered = b"".join(self._chunks), [], 0
                yield data
            elif self.ended:
                return
            else:
                self._read_on()
                async with asyncio.timeout(self._timeout):
                    await self._change()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Starts TLS in the tunnel of a proxy."""
        loop = asyncio.get_running_loop()
        secure = await loop.start_tls(self._transport, self, context, server_hostname=host)
        self._transport = cast(asyncio.Transport, secure)

    def close(self) -> None:
        self.closed = True
        self._transport.abort()

    async def aclose(self) -> None:
        self.close()

    def _expect_response(self) -> None:
        self._read_on()
        self._parser = httptools.HttpResponseParser(self)
        self.answered = self.ended = self._sent = self._complete = self._has_head = self._until_close = False
        self._head_bytes, self._buffered, self._chunks, self.headers = 0, 0, [], {}

    async def _send(self, body: AsyncIterator[bytes], chunked: bool) -> bool:
        """Returns whether the whole body was sent: an upstream may respond, and close, before it has read it."""
        async with asyncio.timeout(self._timeout) as deadline:
            async for chunk in body:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked and chunk else chunk)
                while self._cannot_write and not self._has_head:
                    await self._change()
                if self._has_head or self.closed:
                    return False
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        return True

    def _read_on(self) -> None:
        if self._stopped and not self.closed:
            self._stopped = False
            self._transport.resume_reading()

    async def _change(self) -> None:
        """Waits until data arrive or can be sent."""
        if self.closed:
            raise BrokenConnection
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _changed(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._has_head and self._until_close and error is None:
            self.ended = True
        self.closed = True
        self._changed()

    def pause_writing(self) -> None:
        self._cannot_write = True

    def resume_writing(self) -> None:
        self._cannot_write = False
        self._changed()

    def data_received(self, data: bytes) -> None:
        if self.ended:  # without a request
            self.close()
            return
        self.answered = True
        self._head_bytes += 0 if self._has_head else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._head_bytes > MAX_HEAD_BYTES and not self._has_head:
            self.close()
        if self._buffered > MAX_BUFFERED and not (self._stopped or self.closed):
            self._stopped = True
            self._transport.pause_reading()
        self._changed()

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        if self.ended:  # a second response
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # otherwise it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self.ended:  # 103 Early Hints, 100 Continue
            self.headers = {}
            return
        self.status, self._has_head = status, True
        self._until_close = not {"content-length", "transfer-encoding"} & self.headers.keys()
        if self._bodiless:
            self.ended = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._has_head and not self.ended:
            self.ended = True
            self._complete = self._parser.should_keep_alive()
