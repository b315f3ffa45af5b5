"""A Redis that answers what a test wants, for what the real one does too rarely: it speaks the protocol, no more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import hiredis

Answer = Callable[[list[bytes]], bytes | None]


class Fake:
    """Answers HELLO by itself, and everything else as `answer` says; None closes the connection. `delay` is the seconds
    before each answer.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.port = 0
        self.delay = 0.0
        self.connections = 0
        self.asked: list[list[bytes]] = []
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._open.add(task)
        self.connections += 1
        with suppress(OSError, asyncio.CancelledError):
            await self._talk(reader, writer)
        self._open.discard(task)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while command := parser.gets():
                self.asked.append(command)
                answer = b"%1\r\n+proto\r\n:3\r\n" if command[0] == b"HELLO" else self.answer(command)
                if answer is None:
                    return
                await asyncio.sleep(self.delay)
                writer.write(answer)
            await writer.drain()

    def end(self) -> None:
        for task in self._open:
            task.cancel()


@asynccontextmanager
async def fake(answer: Answer) -> AsyncIterator[Fake]:
    redis = Fake(answer)
    server = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
    redis.port = server.sockets[0].getsockname()[1]
    try:
        yield redis
    finally:
        server.close()
        redis.end()
        await server.wait_closed()
