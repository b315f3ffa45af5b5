"""What does a delivery cost? `python -m bench.hooks` tells 100 receivers of many events, and times one event when idle,
and signing in beside receivers that hang. `hello` of uvicorn is measured beside it: what one small answer costs.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import HELLO, PASSWORD, TALLYGATE_SESSION
from bench.load import require_wrk
from bench.machine import on_core
from bench.storm import CROWD, Client

RECEIVERS, HANGING = 100, 20
SIGN_INS, WARM_UPS = 40, 15
PATIENCE = 120.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
WHY = "?" + urlencode({"why": "x" * 500})
KEYS = [f"{number}-{'k' * 120}" for number in range(3)]
"""A change of these makes a body of 1 KB."""
HERE = replace(HELLO, command=HELLO.command.replace("{peers}/uvicorn", "{python} -m uvicorn"))


class Receiver(asyncio.Protocol):
    """Notes when a delivery came, and answers 200, or not at all."""

    def __init__(self, arrivals: list[float], *, hangs: bool) -> None:
        self._arrivals = arrivals
        self._hangs = hangs
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            self._data = b""
            self._arrivals.append(time.perf_counter())
            if not self._hangs:
                self._transport.write(OK)


class Desk:
    """A service with webhooks, and its administrator."""

    def __init__(self, server: Server, client: Client) -> None:
        self._server = server
        self._client = client
        self._headers = dict(server.headers)

    @classmethod
    async def opened(cls, server: Server) -> "Desk":
        return cls(server, await Client.connected(port_of(server)))

    async def remove_webhooks(self) -> None:
        """Those of an earlier round: all share one Redis."""
        url = self._server.url.removesuffix("/api/session")
        with httpx.Client(base_url=url, headers=self._headers) as client:
            for each in client.get("/api/webhooks").json()["webhooks"]:
                client.delete(f"/api/webhooks/{each['id']}").raise_for_status()

    async def add_webhooks(self, count: int, arrivals: list[float], *, hangs: bool, events: list[str]) -> None:
        await self.remove_webhooks()
        loop = asyncio.get_running_loop()
        for _ in range(count):
            listening = await loop.create_server(lambda: Receiver(arrivals, hangs=hangs), "127.0.0.1", 0)
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook"
            await self.ask("POST", "/api/webhooks", {"url": url, "events": events})

    async def change(self, number: int) -> None:
        await self.ask("PATCH", f"/api/config/bench{WHY}", dict.fromkeys(KEYS, number), "application/merge-patch+json")

    async def ask(self, method: str, path: str, body: object, content_type: str = "application/json") -> int:
        headers = self._headers | {"Content-Type": content_type}
        return await self._client.ask(method, path, headers, json.dumps(body).encode())


def main() -> int:
    """Print deliveries a second of one core, how late one is, and how long signing in takes."""
    parser = argparse.ArgumentParser(prog="python -m bench.hooks", description=__doc__)
    parser.add_argument("--events", type=positive, default=50, help=f"events, each for {RECEIVERS} receivers (50)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    require_wrk()
    with arena() as place:
        for _ in range(options.rounds):
            hello = place.measure(HERE, 2)
            with place.serve(TALLYGATE_SESSION) as server, on_core(place.cores.others):
                asyncio.run(_deliveries(place, server, options.events, hello.cpu))
            for hanging in (0, HANGING):
                crowd = replace(TALLYGATE_SESSION, environment={**TALLYGATE_SESSION.environment, **CROWD})
                with place.serve(crowd) as server, on_core(place.cores.others):
                    asyncio.run(_sign_ins(place, server, hanging))
    return 0


async def _deliveries(place: Arena, server: Server, events: int, hello: float) -> None:
    arrivals: list[float] = []
    desk = await Desk.opened(server)
    await desk.ask("POST", "/api/config", {"name": "bench"})
    await desk.add_webhooks(RECEIVERS, arrivals, hangs=False, events=["config.changed"])
    late = []
    for number in range(20):
        await asyncio.sleep(0.2)
        arrivals.clear()
        started = time.perf_counter()
        await desk.change(number)
        await _until(arrivals, RECEIVERS)
        late += [at - started for at in arrivals]
    arrivals.clear()
    before, commands, started = server.process.usage().cpu, place.valkey.commands(), time.perf_counter()
    for number in range(events):
        await desk.change(-number - 1)
    await _until(arrivals, events * RECEIVERS)
    took, cpu = time.perf_counter() - started, server.process.usage().cpu - before
    count = len(arrivals)
    each, commands = cpu / count * 1e6, place.valkey.commands() - commands
    print(
        f"{count} deliveries: {count / took:.0f}/s, {each:.0f} us of CPU each ({count / cpu:.0f} a second of CPU),"
        f" {each / hello:.1f} times hello ({hello:.1f} us), {commands / count:.2f} Redis commands each;"
        f" idle: median {statistics.median(late) * 1e3:.0f} ms,"
        f" p99 {statistics.quantiles(late, n=100)[98] * 1e3:.0f} ms late"
    )


async def _sign_ins(place: Arena, server: Server, hanging: int) -> None:
    desk, client = await Desk.opened(server), await Client.connected(port_of(server))
    await desk.add_webhooks(hanging, [], hangs=True, events=["*"])
    took, before = [], 0.0
    for number in range(SIGN_INS + WARM_UPS):
        if number == WARM_UPS:  # the first ones warm up
            before = server.process.usage().cpu
        started = time.perf_counter()
        headers = {"Content-Type": "application/json", "X-Forwarded-For": f"2001:db8:{number:x}::"}
        body = json.dumps({"username": "bench", "password": PASSWORD}).encode()
        assert await client.ask("POST", "/api/session", headers, body) == 200
        took.append(time.perf_counter() - started)
    cpu = (server.process.usage().cpu - before) / SIGN_INS
    print(
        f"Signing in with {hanging} hanging webhooks: median {statistics.median(took[WARM_UPS:]) * 1e3:.1f} ms,"
        f" longest {max(took[WARM_UPS:]) * 1e3:.1f} ms, {cpu * 1e3:.1f} ms of CPU"
    )


async def _until(arrivals: list[float], count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(arrivals) < count:
            await asyncio.sleep(0.002)


def port_of(server: Server) -> int:
    return int(server.url.split(":")[2].partition("/")[0])


if __name__ == "__main__":
    run(main)
