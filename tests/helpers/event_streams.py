"""Event streams of an application in this process; httpx's transport for it would wait for their end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.counter.live import HEARTBEAT
from tests.helpers.service import Running
from tests.helpers.waiting import eventually


class Stream:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.ended = False
        self.leaving = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.text += message["body"].decode()
            self.ended = not message.get("more_body", False)

    async def says(self, text: str) -> None:
        """Waits until the stream has said this, for less than the time after which everything is read anew."""
        await eventually(lambda: text in self.text, what=f"{text!r} in the stream", seconds=HEARTBEAT - 3)

    async def tells(self, total: int) -> None:
        await self.says(f'event: visits\ndata: {{"visits": {total}}}\n\n')

    @property
    def totals(self) -> list[int]:
        """The totals that it has told so far."""
        return [int(part.partition("}")[0]) for part in self.text.split('data: {"visits": ')[1:]]


@asynccontextmanager
async def stream(
    service: Running,
    path: str = "/events/visits",
    method: str = "GET",
    query: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> AsyncIterator[Stream]:
    """A reader of a stream, who leaves at the end of the block."""
    reader = Stream()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"tallygate.test"), *headers],
        "client": ("192.0.2.1", 50000),
        "server": ("tallygate.test", 80),
        "state": service.state.copy(),
    }
    answering: Any = service.app(scope, reader.receive, reader.send)
    reading: asyncio.Task[None] = asyncio.create_task(answering)
    try:
        await eventually(lambda: reader.status, what="an answer")
        yield reader
    finally:
        reader.leaving.set()
        await reading
