"""What a question of a proxy costs: `python -m bench.gateway`, beside uvicorn's hello world, all on one core."""

import argparse
import asyncio
import json
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.settings import Settings
from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE, Contestant
from bench.load import load
from bench.machine import BenchError
from bench.sites import HELLO
from tests.helpers.cast import PASSWORD, make_cast
from tests.helpers.service import running

HOST = "wiki.example.com"
Rule = dict[str, Any]
QUESTION = {
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": HOST,
    "X-Forwarded-Uri": "/wiki/page?x=1",
    "X-Forwarded-Method": "GET",
    "X-Forwarded-For": "203.0.113.5",
    "Accept": "text/html",
}
STAFF: Rule = {"hosts": [HOST], "allow": {"groups": ["staff"]}}
FEW: list[Rule] = [{"hosts": [HOST], "paths": [f"/{number}/"], "allow": "everybody"} for number in range(4)]
MANY: list[Rule] = [
    {"hosts": [f"host{number % 99}.example.com"], "paths": [f"/{number}/"], "allow": "everybody"}
    for number in range(195)
]
SHAPES: dict[str, tuple[list[Rule], int]] = {
    "5 rules": ([*FEW, STAFF], 1),
    "200 rules over 100 hosts": ([*MANY, *FEW, STAFF], 1),
    "200 rules, 1,000 pages": ([*MANY, *FEW, STAFF], 1_000),
    "200 rules, 100,000 pages": ([*MANY, *FEW, STAFF], 100_000),
}
"""The rules, and about how many pages is asked."""


def main() -> int:
    """Measure and print. All servers run at once and take turns, so that other loads of the machine hit them alike."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=2, help="seconds of load in a round (2)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (5)")
    options = parser.parse_args()
    with arena() as place, ExitStack() as stack:
        asyncio.run(make_users(place.valkey.url))
        hello = stack.enter_context(place.serve(HELLO))
        asked = {"hello world": (hello, hello.url, dict[str, str](), 1)}
        for name, (rules, pages) in SHAPES.items():
            asked[name] = (*stack.enter_context(_protected(place, rules)), pages)
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(options.rounds):
            for name, (server, url, headers, pages) in asked.items():
                found[name].append(_measured(place, server, url, headers, options.seconds, pages))
    least = statistics.median(found["hello world"])
    for name, every in found.items():
        print(f"{name}: {statistics.median(every):.1f} us ({least / statistics.median(every):.2f} of hello)")
    return 0


async def make_users(redis_url: str) -> None:
    """Makes the cast, with bob among the staff."""
    async with running(Settings(redis_url=redis_url)) as service:
        cast = await make_cast(service)
        await service.state["users"].set_groups(cast.bob.id, ("staff",))


@contextmanager
def _protected(place: Arena, rules: list[Rule]) -> Iterator[tuple[Server, str, dict[str, str]]]:
    """A service with these rules, and the question about a page that bob may see."""
    text = json.dumps(rules).replace("{", "{{").replace("}", "}}")  # the contestant's values are templates
    environment = {"TALLYGATE_TRUSTED_PROXIES": "127.0.0.1", "TALLYGATE_RULES": text}
    with place.serve(Contestant("gateway", TALLYGATE, path="/live", environment=environment)) as server:
        url = server.url.removesuffix("/live")
        yield server, f"{url}/verify/forward-auth", QUESTION | {"Cookie": f"tallygate-site={_site_cookie(url)}"}


def _site_cookie(url: str) -> str:
    """Signs in at the portal and at the host."""
    at_host = {"Host": HOST, "X-Forwarded-Proto": "http"}
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": "203.0.113.5"}) as browser:
        browser.post("/api/session", json={"username": "bob", "password": PASSWORD}).raise_for_status()
        started = browser.get("/.tallygate/start", headers=at_host).headers["location"]
        back = browser.get(f"/gateway/authorize?{urlsplit(started).query}").headers["location"]
        browser.get(f"/.tallygate/finish?{urlsplit(back).query}", headers=at_host)
        return browser.cookies["tallygate-site"]


def _measured(place: Arena, server: Server, url: str, headers: dict[str, str], seconds: int, pages: int) -> float:
    """Microseconds of the server's CPU per answer."""
    before = server.process.usage().cpu
    answers = load(url, headers, seconds, place.cores.others, pages=pages)
    if not answers.count or answers.refused:
        raise BenchError(f"{answers.refused} of {answers.count} answers refused")
    return (server.process.usage().cpu - before) / answers.count * 1e6


if __name__ == "__main__":
    run(main)
