"""The service as tests use it: in their own process through httpx, or as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from app.main import create_app
from app.settings import Settings
from tests.helpers.sockets import PATIENCE

ROOT = Path(__file__).parent.parent.parent


class Running:
    """An application whose lifespan runs: a client to ask it, and the state that its handlers see."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state
        self.client = self.another_client()

    def another_client(self, **options: Any) -> httpx.AsyncClient:
        """A client with cookies of its own: another visitor."""
        options.setdefault("base_url", "http://tallygate.test")
        client = options.pop("client", ("192.0.2.1", 50000))
        transport = httpx.ASGITransport(self._with_state, raise_app_exceptions=False, client=client)
        return httpx.AsyncClient(transport=transport, **options)

    async def _with_state(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = self.state.copy()
        await self.app(scope, receive, send)


@asynccontextmanager
async def running(settings: Settings, clock: Callable[[], float] = time.time) -> AsyncIterator[Running]:
    """Runs the application of these settings in this process, as a server would."""
    app = create_app(settings, clock)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}

    async def send(message: Any) -> None:
        await outbox.put(message)

    async def live() -> None:
        await app({"type": "lifespan", "state": state}, inbox.get, send)

    lifespan = asyncio.create_task(live())
    await inbox.put({"type": "lifespan.startup"})
    started = await outbox.get()
    assert started["type"] == "lifespan.startup.complete", started
    service = Running(app, state)
    try:
        async with service.client:
            yield service
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await lifespan


class Process:
    """`python -m app` (or another command) with an environment of the test's own."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: tuple[str, ...] = ("-m", "app"),
        source: Path = ROOT,
        **settings: str,
    ) -> None:
        self.folder = folder
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TALLYGATE_")}
        environment |= {"PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
        environment |= {f"TALLYGATE_{name.upper()}": value for name, value in settings.items()}
        self._output = folder / f"output-{time.monotonic_ns()}.txt"
        folder.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far, on both streams."""
        return self._output.read_text("utf-8", "replace")

    def url(self, seconds: float = PATIENCE) -> str:
        """The address that it says it listens at, once it answers there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for word in self.output.split():
                if word.startswith("http://") and self._answers(word):
                    return word
            assert self.process.poll() is None, self.output
            time.sleep(0.02)
        raise AssertionError(f"no answer within {seconds} s:\n{self.output}")

    @property
    def workers(self) -> list[int]:
        """The processes that answer requests (on Linux): its workers, or it itself where it has none."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [int(child) for child in children if _is_worker(child)] or [own]

    def _answers(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/live", timeout=2, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        """Sends a signal, waits for the end, and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


def _is_worker(pid: str) -> bool:
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return False


@contextmanager
def process(folder: Path, *arguments: str, **options: Any) -> Iterator[Process]:
    """The service as a process, ended (if need be by force, with all its workers) at the end of the block."""
    service = Process(folder, *arguments, **options)
    try:
        yield service
    finally:
        try:
            service.end()
        except subprocess.TimeoutExpired:
            os.killpg(service.process.pid, signal.SIGKILL)
            raise
