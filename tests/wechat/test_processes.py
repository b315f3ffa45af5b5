"""The service as a process of its own: media of 100 MB, and a death in the middle of a refresh."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.wechat.store import LOCK_MILLISECONDS
from dev.serving import served
from dev.wechat.api import WeChatApi
from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.wechat.conftest import APPID, SECRET, TOKEN, hashed

pytestmark = pytest.mark.slow
STABLE = "/cgi-bin/stable_token"
INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
MEGABYTE = 1_000_000
LARGE = 100 * MEGABYTE


@pytest.fixture(scope="module")
def own_server(short_folder: Path) -> Iterator[Valkey]:
    with valkey(short_folder / "wechat-v") as server:
        yield server


def started(stack: ExitStack, folder: Path, server: Valkey, upstream: str) -> Process:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "wechat.toml"
    config.write_text(f"""
        [wechat.shop]
        appid = "{APPID}"
        secret = "{SECRET}"
        api_url = "{upstream}"
        [services.billing]
        tokens = ["{hashed(TOKEN)[0]}"]
        wechat.shop = {{}}
    """)
    return stack.enter_context(process(folder, "--config", str(config), port="0", redis_url=server.url))


class Media:
    """An upstream that takes and gives large media."""

    def __init__(self) -> None:
        self.received = 0

    async def token(self, _: Request) -> Response:
        return Response(b'{"access_token":"raw","expires_in":7200}', media_type="text/plain")

    async def upload(self, request: Request) -> Response:
        async for piece in request.stream():
            self.received += len(piece)
        return Response(b'{"media_id":"m1"}', media_type="text/plain")

    async def download(self, _: Request) -> Response:
        return StreamingResponse(large(), media_type="video/mp4", headers={"Content-Length": str(LARGE)})

    def app(self) -> Starlette:
        routes = [
            Route(STABLE, self.token, methods=["POST"]),
            Route("/cgi-bin/media/upload", self.upload, methods=["POST"]),
            Route("/cgi-bin/media/get", self.download),
        ]
        return Starlette(routes=routes)


async def large() -> AsyncIterator[bytes]:
    for _ in range(LARGE // MEGABYTE):
        yield b"x" * MEGABYTE


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are told by Linux")
async def test_media_of_100_mb_take_constant_memory(short_folder: Path, own_server: Valkey) -> None:
    media = Media()
    with ExitStack() as stack:
        upstream = stack.enter_context(served(media.app()))
        service = started(stack, short_folder / "media", own_server, upstream)
        base = f"{service.url()}/wechat/shop/cgi-bin/media"
        (worker,) = service.workers
        async with httpx.AsyncClient(headers=HEADERS, timeout=PATIENCE) as program:
            await program.post(f"{base}/upload", content=b"small")  # the caches are warm
            before = peak(worker)
            sent = await program.post(f"{base}/upload", content=large())
            assert (sent.json()["media_id"], media.received) == ("m1", LARGE + 5)
            got = 0
            async with program.stream("GET", f"{base}/get?media_id=m1") as answer:
                async for piece in answer.aiter_raw():
                    got += len(piece)
        assert got == LARGE
        assert peak(worker) - before < 20 * MEGABYTE


class Hanging:
    """The simulator, whose token API does not answer while it hangs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.hangs = threading.Event()
        self.asked = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == STABLE and self.hangs.is_set():
            self.asked.set()
            while self.hangs.is_set():
                await asyncio.sleep(0.02)
        await self._app(scope, receive, send)


def test_holder_that_is_killed_in_the_middle_frees_the_lock(short_folder: Path, own_server: Valkey) -> None:
    own_server.client.flushall()
    wechat = WeChatApi({APPID: SECRET})
    upstream = Hanging(wechat.app())
    upstream.hangs.set()
    lock = "{wechat:shop}:access_token:lock"
    with ExitStack() as stack:
        url = stack.enter_context(served(upstream))
        holder, other = (started(stack, short_folder / name, own_server, url) for name in ("holder", "other"))
        address, others = holder.url(), other.url()
        asker = threading.Thread(target=ask_in_vain, args=(f"{address}{INFO}",))
        asker.start()
        assert upstream.asked.wait(PATIENCE)
        for worker in holder.workers:
            os.kill(worker, signal.SIGKILL)
        with own_server.client as redis:
            assert 0 < redis.pttl(lock) <= LOCK_MILLISECONDS
        asker.join(PATIENCE)
        upstream.hangs.clear()
        assert httpx.get(f"{others}{INFO}", headers=HEADERS, timeout=PATIENCE).status_code == 200  # it waits
        assert wechat.count(STABLE) == 1  # what the dead one asked was never answered


def ask_in_vain(url: str) -> None:
    try:
        httpx.get(url, headers=HEADERS, timeout=PATIENCE)
    except httpx.TransportError:
        return
