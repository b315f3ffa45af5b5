"""What do sessions take? `python -m bench.sessions` opens many, and prints by how much Valkey's memory grows."""

import argparse
import asyncio
import secrets
import tempfile
import time
from pathlib import Path

import redis

from app.sessions.redis_store import RedisSessions
from app.sessions.session import Session
from app.settings import Settings
from app.store.client import Store
from app.store.topology import topology
from app.store.tracking import Tracking
from bench.command import positive, run
from bench.valkey import Valkey, running_valkey

AT_ONCE = 500
"""Sessions opened in one pipeline."""
DEVICES = ("Firefox on Linux", "Chrome on Windows", "Safari on iPhone", "WeChat on Android")
ADDRESSES = ("192.0.2.117", "198.51.100.23", "2001:db8:85a3:8d3:1319:8a2e:370:7348")


def main() -> int:
    """Open sessions as a sign-in does, and print the memory that each takes."""
    parser = argparse.ArgumentParser(prog="python -m bench.sessions", description=__doc__)
    parser.add_argument("--sessions", type=positive, default=100_000, help="sessions in all (100,000)")
    parser.add_argument("--per-user", type=positive, default=1, help="sessions of each user (1, which takes most)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tg") as folder, running_valkey(Path(folder) / "v", None) as valkey:
        before, started = _memory(valkey), time.monotonic()
        asyncio.run(_open(valkey.url, options.sessions, options.per_user))
        seconds, grown = time.monotonic() - started, _memory(valkey) - before
    size = f"{grown / 1e6:.1f} MB, {grown / options.sessions:.0f} bytes each"
    print(f"{options.sessions:,} sessions in {seconds:.0f} s: {size}")
    return 0


async def _open(url: str, count: int, per_user: int) -> None:
    settings = Settings(redis_url=url)
    async with Store(topology(url, 30), 30) as store, Tracking(store) as tracking:
        sessions = RedisSessions(store, tracking, settings)
        for start in range(0, count, AT_ONCE):
            users = [secrets.token_hex(16) for _ in range(0, AT_ONCE, per_user)]
            numbers = range(start, min(start + AT_ONCE, count))
            await asyncio.gather(*(sessions.create(_session(users[i % len(users)], i)) for i in numbers))


def _session(user: str, number: int) -> Session:
    now = time.time()
    device, address = DEVICES[number % len(DEVICES)], ADDRESSES[number % len(ADDRESSES)]
    return Session("", user, now, now, "password", device, address)


def _memory(valkey: Valkey) -> int:
    """Bytes that Valkey uses."""
    with redis.Redis.from_url(valkey.url) as client:
        return int(client.info("memory")["used_memory"])


if __name__ == "__main__":
    run(main)
