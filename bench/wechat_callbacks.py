"""How long do WeChat's callbacks wait? `python -m bench.wechat_callbacks` pushes 200 messages a second while the
receivers of the webhooks are down, and counts what is stored. Counted visits (`GET /`) in the same minute tell how busy
the machine and Redis are.
"""

import argparse
import asyncio
import json
import time
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from app.http_client.streaming import StreamingClient
from bench.arena import Arena, arena, free_ports
from bench.command import positive, run
from bench.contestants import TALLYGATE_SESSION
from bench.machine import BenchError
from dev.wechat.pushes import Receiver, message, signed

PUSHES_PER_SECOND = 200
Request = tuple[str, str, bytes, bytes]
"""(the method, the target, the body, how the answer begins)."""
SHOP = Receiver(
    "/wechat/shop/callback", "wx-bench", "a-token-of-the-bench", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)
ACCOUNT = {
    "appid": SHOP.appid, "secret": "x", "token": SHOP.token, "encoding_aes_key": SHOP.key,
}  # fmt: skip
TALLYGATE = replace(
    TALLYGATE_SESSION,
    name="tallygate-wechat",
    environment={"TALLYGATE_WECHAT": json.dumps({"shop": ACCOUNT}).replace("{", "{{").replace("}", "}}")},
)


def main() -> int:
    """Print times, losses and memory; 1 if a message was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.wechat_callbacks", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=20, help="seconds of pushes (20)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    with arena() as place:
        return max(_round(place, options.seconds) for _ in range(options.rounds))


def _round(place: Arena, seconds: int) -> int:
    with place.serve(TALLYGATE) as server:
        origin = server.url.removesuffix("/api/session")
        (closed,) = free_ports(1)
        hook = {"url": f"http://127.0.0.1:{closed}/", "events": ["wechat.message"], "wechat": ["shop"]}
        made = httpx.post(f"{origin}/api/webhooks", json=hook, headers=dict(server.headers))
        if made.status_code != 201:
            raise BenchError(f"the webhook was not made: {made.text}")
        asyncio.run(_ask(origin, _pushes(100)))
        visits = asyncio.run(_ask(origin, [("GET", "/", b"", b"")] * PUSHES_PER_SECOND * 5))
        stored, before, pushes = _stored(place), server.process.usage(), _pushes(seconds * PUSHES_PER_SECOND)
        times = asyncio.run(_ask(origin, pushes))
        after, lost = server.process.usage(), len(pushes) - (_stored(place) - stored)
        httpx.delete(f"{origin}/api/webhooks/{made.json()['id']}", headers=dict(server.headers))
    print(
        f"{len(pushes)} pushes: {_told(times)}, {lost} lost; visits: {_told(visits)}; CPU"
        f" {(after.cpu - before.cpu) / len(pushes) * 1e6:.0f} us a push and its failing delivery; memory"
        f" {before.rss / 1e6:.0f} to {after.rss / 1e6:.0f} MB"
    )
    return int(lost != 0)


def _stored(place: Arena) -> int:
    """Messages that the webhooks' log holds, once it has all."""
    while place.valkey.read("XLEN {wechat}:raised"):
        time.sleep(0.1)
    return place.valkey.read_settled("XLEN {hooks}:log")


def _pushes(count: int) -> list[Request]:
    start = time.time()
    made = (signed(SHOP, message("text", start, f"o{start}-{n}", Content="你好"), start) for n in range(count))
    return [("POST", f"{SHOP.url}?{urlencode(query)}", body, b"success") for query, body in made]


async def _ask(origin: str, requests: list[Request]) -> list[float]:
    """Seconds from the moment at which each request was due until its answer, in order."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def one(client: StreamingClient, number: int, request: Request) -> float:
        due = begun + number / PUSHES_PER_SECOND
        await asyncio.sleep(due - loop.time())
        method, target, body, expected = request
        response = await client.send(method, origin, target, {}, body)
        answer = b"".join([piece async for piece in response.iter_body()])
        if response.status != 200 or not answer.startswith(expected):
            raise BenchError(f"{method} {target} was answered {response.status}: {answer!r}")
        return loop.time() - due

    async with StreamingClient(timeout=30, private=True) as client:
        return sorted(await asyncio.gather(*(one(client, n, request) for n, request in enumerate(requests))))


def _told(times: list[float]) -> str:
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"median {middle * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms"


if __name__ == "__main__":
    run(main)
