"""A proxy that stands before a server and misbehaves as told: freezes, loses an answer, leads to another server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Proxy:
    """Listens on a TCP port of this machine; what comes there goes to the unix socket `target`, which may change."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.port = 0
        self.lost = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._unwanted: bytes | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Holds everything back from now on, without closing anything: a network that has gone."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def lose_answer_to(self, text: bytes) -> None:
        """Passes on the next request with this text, swallows what is answered, and closes the connection."""
        self._unwanted = text

    def disconnect(self) -> None:
        """Closes every connection; new ones are welcome."""
        for ends in self._connections.values():
            for end in ends:
                end.transport.abort()

    async def close(self) -> None:
        """Closes every connection, and waits until that is done."""
        self.disconnect()
        self.thaw()
        await asyncio.gather(*self._connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ends = self._connections[task] = [writer]
        try:
            with suppress(OSError):
                there, back = await asyncio.open_unix_connection(str(self.target))
                ends.append(back)
                if not writer.is_closing():
                    await self._pass_on(reader, back, there, writer)
        finally:
            for end in ends:
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
            del self._connections[task]

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Both ways, until one of them ends."""
        swallow = asyncio.Event()
        ways = {
            asyncio.create_task(self._forth(reader, back, swallow)),
            asyncio.create_task(self._back(there, writer, swallow)),
        }
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: asyncio.Event) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if self._unwanted is not None and self._unwanted in data:
                self._unwanted = None
                swallow.set()
            writer.write(data)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: asyncio.Event) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if swallow.is_set():
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy(target: Path) -> AsyncIterator[Proxy]:
    between = Proxy(target)
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        await between.close()
        await server.wait_closed()
