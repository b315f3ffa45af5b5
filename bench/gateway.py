"""What a question of a proxy costs: `python -m bench.gateway`, beside uvicorn's hello world, all on one core."""

import argparse
import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.settings import Settings
from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE, Contestant
from bench.load import load
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
SHAPES = {
    "5 rules": [*FEW, STAFF],
    "200 rules over 100 hosts": [*MANY, *FEW, STAFF],
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=5, help="seconds of load in a round (5)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    with arena() as place:
        asyncio.run(_make_users(place.valkey.url))
        for _ in range(options.rounds):
            with place.serve(HELLO) as server:
                hello = _measured(place, server, server.url, {}, options.seconds)
            print(f"hello world: {hello:.1f} us")
            for name, rules in SHAPES.items():
                _ask(place, name, rules, hello, options.seconds)
    return 0


async def _make_users(redis_url: str) -> None:
    async with running(Settings(redis_url=redis_url)) as service:
        cast = await make_cast(service)
        await service.state["users"].set_groups(cast.bob.id, ("staff",))


def _ask(place: Arena, name: str, rules: list[Rule], hello: float, seconds: int) -> None:
    text = json.dumps(rules).replace("{", "{{").replace("}", "}}")  # the contestant's values are templates
    environment = {"TALLYGATE_TRUSTED_PROXIES": "127.0.0.1", "TALLYGATE_RULES": text}
    with place.serve(Contestant("gateway", TALLYGATE, path="/live", environment=environment)) as server:
        url = server.url.removesuffix("/live")
        headers = QUESTION | {"Cookie": f"tallygate-site={_site_cookie(url)}"}
        cpu = _measured(place, server, f"{url}/verify/forward-auth", headers, seconds)
    print(f"{name}: {cpu:.1f} us ({hello / cpu:.2f} of hello)")


def _site_cookie(url: str) -> str:
    """Signs in at the portal and at the host."""
    at_host = {"Host": HOST, "X-Forwarded-Proto": "http"}
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": "203.0.113.5"}) as browser:
        browser.post("/api/session", json={"username": "bob", "password": PASSWORD}).raise_for_status()
        started = browser.get("/.tallygate/start", headers=at_host).headers["location"]
        back = browser.get(f"/gateway/authorize?{urlsplit(started).query}").headers["location"]
        browser.get(f"/.tallygate/finish?{urlsplit(back).query}", headers=at_host)
        return browser.cookies["tallygate-site"]


def _measured(place: Arena, server: Server, url: str, headers: dict[str, str], seconds: int) -> float:
    """Microseconds of the server's CPU per answer."""
    load(url, headers, 1, place.cores.others)
    before = server.process.usage().cpu
    answers = load(url, headers, seconds, place.cores.others)
    assert not answers.refused, "every question is allowed"
    return (server.process.usage().cpu - before) / answers.count * 1e6


if __name__ == "__main__":
    run(main)
