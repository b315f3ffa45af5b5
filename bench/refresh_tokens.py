"""Does size slow the provider down? `python -m bench.refresh_tokens`: 10 clients and tokens, then 10,000 and 1,000,000.

What one sign-in and one client left in Redis is copied there, under other ids.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import redis

from app.store.keys import oauth_server as keys
from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.sign_ins import PROVIDER, SECRET, RelyingParty

FEW, CLIENTS = 10, 10_000
CHUNK, REFRESHES, VIEWS, TOKENS_OF_A_USER = 5_000, 300, 20, 10
COPY_FAMILIES = """
local payload, ttl = redis.call('DUMP', KEYS[1]), redis.call('PTTL', KEYS[1])
for i = ARGV[1], ARGV[2] do
  local id = string.format('%022d', i)
  redis.call('RESTORE', KEYS[2] .. id, ttl, payload, 'REPLACE')
  redis.call('ZADD', KEYS[3] .. string.format('%032d', math.floor(i / ARGV[3])), 1800000000, id)
end
"""
COPY_CLIENTS = """
local client = redis.call('HGET', KEYS[1], 'client')
for i = 1, ARGV[1] do
  local id = string.format('client-%05d', i)
  redis.call('HSET', KEYS[2] .. id, 'client', (string.gsub(client, ARGV[2], id)))
  redis.call('ZADD', KEYS[3], i, id)
end
"""


def main() -> int:
    """Print the start, the page of clients, a refresh, and the bytes of a token."""
    parser = argparse.ArgumentParser(prog="python -m bench.refresh_tokens", description=__doc__)
    parser.add_argument("--tokens", type=positive, default=1_000_000, help="live refresh tokens (1,000,000)")
    options = parser.parse_args()
    with arena() as place, redis.Redis.from_url(place.valkey.url, socket_timeout=60) as store:
        for clients, tokens in ((FEW, FEW), (CLIENTS, options.tokens)):
            with place.serve(PROVIDER) as server:
                bytes_of_a_token = _fill(store, server, clients, tokens)
            with _started(place) as (server, start):
                page, refresh = _page(server), _refresh(server)
            print(
                f"{clients:,} clients, {tokens:,} tokens: start {start:.2f} s, page of clients {page:.1f} ms,", end=" "
            )
            print(f"refresh {refresh:.2f} ms of CPU, {bytes_of_a_token:.0f} bytes a token")
    return 0


@contextmanager
def _started(place: Arena) -> Iterator[tuple[Server, float]]:
    begun = time.monotonic()
    with place.serve(PROVIDER) as server:
        yield server, time.monotonic() - begun


def _fill(store: Any, server: Server, clients: int, tokens: int) -> float:
    """Returns the bytes that a token takes, its place in the index of its user included."""
    made = httpx.post(
        server.url.replace("/api/session", "/api/clients"),
        json={"id": "copied", "redirect_uris": ["https://app.example.com/callback"]},
        headers=dict(server.headers) | {"Origin": server.url.removesuffix("/api/session")},
    )
    if made.status_code != 409:  # it is there from the first round
        made.raise_for_status()
    store.eval(COPY_CLIENTS, 3, keys.client("copied"), keys.client(""), keys.CLIENTS, clients, "copied")
    RelyingParty(server).sign_in()
    family = next(iter(store.scan_iter(keys.family("*"), count=1000)))
    store.config_set("appendonly", "no")  # this script fills the server, and measures memory alone
    before = store.info("memory")["used_memory"]
    for first in range(1, tokens + 1, CHUNK):
        last = min(first + CHUNK - 1, tokens)
        store.eval(COPY_FAMILIES, 3, family, keys.family(""), keys.families(""), first, last, TOKENS_OF_A_USER)
    return float(store.info("memory")["used_memory"] - before) / tokens


def _page(server: Server) -> float:
    """Milliseconds until the page is there, the median."""
    with httpx.Client(headers=dict(server.headers) | {"Accept": "text/html"}) as admin:
        took = []
        for _ in range(VIEWS):
            begun = time.perf_counter()
            admin.get(server.url.replace("/api/session", "/admin/clients")).raise_for_status()
            took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1e3


def _refresh(server: Server) -> float:
    """Milliseconds of the server's CPU that a refresh takes."""
    token = RelyingParty(server).sign_in()["refresh_token"]
    with httpx.Client() as client:
        before = server.process.usage().cpu
        for _ in range(REFRESHES):
            form = {"grant_type": "refresh_token", "refresh_token": token}
            answer = client.post(server.url.replace("/api/session", "/oauth2/token"), data=form, auth=("app", SECRET))
            token = answer.raise_for_status().json()["refresh_token"]
    return (server.process.usage().cpu - before) / REFRESHES * 1e3


if __name__ == "__main__":
    run(main)
