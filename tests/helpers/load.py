"""Visitors who come without pause, and what they were told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.helpers.waiting import eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: tallygate.test\r\nAccept: application/json\r\n\r\n"
PAUSE = 0.02
"""Seconds after which a visitor who was turned away comes again; who was told no number waits for a quarter."""
LOST = (OSError, asyncio.IncompleteReadError)


class Load:
    """Visitors on keep-alive connections, each asking again as soon as it is answered.

    `numbers` and `unknown` are all answers; `unanswered` requests may or may not have been counted.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._place = (parts.hostname, parts.port)
        self._stopping = False
        self.numbers: list[int] = []
        self.unknown = 0
        self.unanswered = 0

    @property
    def answered(self) -> int:
        return len(self.numbers) + self.unknown

    def stop(self) -> None:
        """No more requests; those on their way are still answered."""
        self._stopping = True

    async def visit(self) -> None:
        """One visitor, who comes until all are told to stop."""
        while not self._stopping:
            try:
                reader, writer = await asyncio.open_connection(*self._place)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            try:
                while not self._stopping:
                    await self._ask(reader, writer)
            except LOST:
                self.unanswered += 1
                await asyncio.sleep(PAUSE)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200 "), head
        value = body.removeprefix(b'{"visits":').removesuffix(b"}")
        if value == b"null":
            self.unknown += 1
            await asyncio.sleep(PAUSE / 4)
        else:
            self.numbers.append(int(value))

    async def told(self, more: int = 200) -> None:
        """Waits until so many more visitors were told a number."""
        enough = len(self.numbers) + more
        await eventually(lambda: len(self.numbers) >= enough, what=f"{more} more numbers")

    def assert_distinct(self) -> None:
        assert len(set(self.numbers)) == len(self.numbers), "a number was told twice"


@asynccontextmanager
async def load(url: str, visitors: int = 8) -> AsyncIterator[Load]:
    """A load until the end of the block, which waits for the last answers."""
    visits = Load(url)
    coming = [asyncio.create_task(visits.visit()) for _ in range(visitors)]
    try:
        yield visits
    finally:
        visits.stop()
        await asyncio.gather(*coming)
