"""Do sign-ins hold others up? `python -m bench.storm` times `GET /api/session` while many sign in, all on one core."""

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from urllib.parse import urlencode

from bench.arena import Server, arena
from bench.command import positive, run
from bench.contestants import PASSWORD, TALLYGATE_SESSION
from bench.machine import BenchError, on_core

PAUSE = 0.005
"""Seconds between two requests that are timed."""
ALLOWED = 0.05
"""Seconds that the slowest of a hundred may take."""
CROWD = {"TALLYGATE_REGISTRATION": "open", "TALLYGATE_TRUSTED_PROXIES": "127.0.0.1"}
"""Everybody who signs in has a name and an address of their own, or the limits would end the storm."""


def main() -> int:
    """Time a request in calm and in a storm; the exit code is 1 when the storm makes it too slow."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=5, help="length of the storm (5)")
    parser.add_argument("--at-once", type=positive, default=20, help="people signing in at the same moment (20)")
    options = parser.parse_args()
    contestant = replace(TALLYGATE_SESSION, environment={**TALLYGATE_SESSION.environment, **CROWD})
    with arena() as place, place.serve(contestant) as server, on_core(place.cores.others):
        calm, _ = asyncio.run(_storm(server, options.seconds, 0))
        storm, answers = asyncio.run(_storm(server, options.seconds, options.at_once))
    print(f"In calm: {_told(calm)}")
    print(f"In the storm: {_told(storm)}")
    print(f"{answers[200] / options.seconds:.0f} sign-ins a second, {answers.total() - answers[200]} put off")
    return int(_slowest_of_a_hundred(storm) > ALLOWED)


async def _storm(server: Server, seconds: float, at_once: int) -> tuple[list[float], Counter[int]]:
    """(seconds that each timed request took, how the sign-ins were answered)."""
    end, answers, addresses = time.perf_counter() + seconds, Counter[int](), count(1)
    port = int(server.url.split(":")[2].partition("/")[0])

    async def sign_in_again_and_again(name: str) -> None:
        client = await Client.connected(port)
        form = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": f"2001:db8:{next(addresses):x}::",
        }
        await client.ask("POST", "/sign-up", form, urlencode({"username": name, "password": PASSWORD}).encode())
        while time.perf_counter() < end:
            headers = {"Content-Type": "application/json", "X-Forwarded-For": f"2001:db8:{next(addresses):x}::"}
            body = json.dumps({"username": name, "password": PASSWORD}).encode()
            answers[await client.ask("POST", "/api/session", headers, body)] += 1

    people = [asyncio.create_task(sign_in_again_and_again(f"crowd{number}")) for number in range(at_once)]
    client, took = await Client.connected(port), []
    while time.perf_counter() < end:
        begun = time.perf_counter()
        status = await client.ask("GET", "/api/session", server.headers)
        took.append(time.perf_counter() - begun)
        if status != 200:
            raise BenchError(f"GET /api/session was answered with {status}")
        await asyncio.sleep(PAUSE)
    await asyncio.gather(*people)
    return took, answers


class Client:
    """HTTP over one connection, with nothing that would take time of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connected(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> int:
        """The status of the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        await self._reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        return int(head.split()[1])


def _slowest_of_a_hundred(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def _told(took: list[float]) -> str:
    median, slow, worst = statistics.median(took), _slowest_of_a_hundred(took), max(took)
    return f"median {median * 1e3:.1f} ms, p99 {slow * 1e3:.1f} ms, longest {worst * 1e3:.1f} ms, {len(took)} requests"


if __name__ == "__main__":
    run(main)
