"""How long is the way back? `python -m bench.oauth` times callbacks of a provider, and starts with many providers."""

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.arena import free_ports, wait_until_answered
from bench.command import positive, run
from bench.machine import BenchError
from bench.processes import running
from bench.valkey import Valkey, running_valkey
from dev.serving import served
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, FakeOpenId

USER = {"sub": "1", "name": "Alice", "preferred_username": "alice", "email": "a@corp.example", "email_verified": True}
"""Everything is in the ID token, as with most providers."""
MANY = 200
"""Providers configured side by side."""


def main() -> int:
    """Sign in again and again; start with one provider and with many; print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.oauth", description=__doc__)
    parser.add_argument("--sign-ins", type=positive, default=200, help="timed sign-ins, after one that warms up (200)")
    parser.add_argument("--starts", type=positive, default=5, help="timed starts with each number of providers (5)")
    options = parser.parse_args()
    provider = FakeOpenId(user=USER)
    with tempfile.TemporaryDirectory(prefix="tallygate-bench-") as name, served(provider.app()) as provider.issuer:
        folder = Path(name)
        with running_valkey(folder / "valkey", None) as valkey:
            with _service(folder, valkey, provider, 1) as (url, _):
                _time_sign_ins(url, provider, options.sign_ins)
            for count in (1, MANY):
                _time_starts(folder, valkey, provider, count, options.starts)
    return 0


def _time_sign_ins(url: str, provider: FakeOpenId, count: int) -> None:
    _sign_in(url, 0)
    provider.asked.clear()
    took = [_sign_in(url, number) for number in range(1, count + 1)]
    asked = Counter(each.path for each in provider.asked if each.path != "/authorize")
    print(f"Callback to signed-in page: {_told(took)}, {count} sign-ins")
    print(f"Asked of the provider meanwhile: {', '.join(f'{path} {number}' for path, number in asked.items())}")


def _sign_in(url: str, number: int) -> float:
    """Seconds from the callback's request to the whole page that greets the user."""
    # From another address each time: the limits think that nobody signs in so often.
    headers = {"Accept": "text/html", "X-Forwarded-For": f"2001:db8:{number:x}::1"}
    with httpx.Client(base_url=url, headers=headers) as browser, httpx.Client() as outside:
        out = browser.get("/oauth/corp0/start", params={"next": "/account"}).headers["location"]
        callback = outside.get(out).headers["location"]
        begun = time.perf_counter()
        page = browser.get(callback, follow_redirects=True)
        took = time.perf_counter() - begun
    if page.status_code != 200 or not re.search(r'action="/sign-out"', page.text):
        raise BenchError(f"signing in led to status {page.status_code}")
    return took


def _time_starts(folder: Path, valkey: Valkey, provider: FakeOpenId, count: int, starts: int) -> None:
    begun, pages = [], []
    for _ in range(starts):
        with _service(folder, valkey, provider, count) as (url, seconds), httpx.Client(base_url=url) as browser:
            begun.append(seconds)
            browser.get("/sign-in")
            for _ in range(20):
                before = time.perf_counter()
                browser.get("/sign-in").raise_for_status()
                pages.append(time.perf_counter() - before)
    print(f"{count} providers: start {_told(begun)}; sign-in page {_told(pages)}")


@contextmanager
def _service(folder: Path, valkey: Valkey, provider: FakeOpenId, count: int) -> Iterator[tuple[str, float]]:
    """(the address of a service that knows so many providers, the seconds from its start to its first answer)."""
    table = f"""
        type = "oidc"
        issuer = "{provider.issuer}"
        client_id = "{CLIENT_ID}"
        client_secret = "{CLIENT_SECRET}"
        allow = "everybody"
    """
    config = folder / "providers.toml"
    config.write_text("".join(f"[oauth.corp{number}]{table}\n" for number in range(count)))
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "app", "--port", str(port), "--config", str(config), "--redis-url", valkey.url]
    environment = {"TALLYGATE_TRUSTED_PROXIES": "127.0.0.1", "TALLYGATE_LOG_FILE": str(folder / "tallygate.log")}
    begun = time.perf_counter()
    with running(command, folder, environment=environment) as process:
        wait_until_answered(port, "/live", {}, process)
        yield f"http://127.0.0.1:{port}", time.perf_counter() - begun


def _told(took: list[float]) -> str:
    return f"median {statistics.median(took) * 1e3:.1f} ms, longest {max(took) * 1e3:.1f} ms"


if __name__ == "__main__":
    run(main)
