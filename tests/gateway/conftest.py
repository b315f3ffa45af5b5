"""The gateway with rules for some hosts, and a browser that knows which cookies belong to which host."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.settings import Settings
from tests.helpers.cast import PASSWORD, Cast, make_cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running

PORTAL = "https://sign-in.example.org"
WIKI, FILES = "wiki.example.com", "files.example.net"
RULES: tuple[dict[str, Any], ...] = (
    {"hosts": [WIKI], "paths": ["/public/"], "allow": "everybody"},
    {"hosts": [WIKI], "paths": ["/bob"], "allow": {"users": ["bob"]}},
    {"hosts": [WIKI], "paths": ["/office"], "allow": {"networks": ["198.51.100.0/24"]}},
    {"hosts": [WIKI], "paths": ["/vault"], "allow": "signed-in", "within": 600},
    {"hosts": [WIKI, FILES, "*.internal.example.com"], "allow": "signed-in"},
)
PROXY = ("192.0.2.10", 40000)
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}


@pytest.fixture
def gateway_settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(public_url=PORTAL, rules=RULES, trusted_proxies=("192.0.2.10",))


@pytest.fixture
async def service(gateway_settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    async with running(gateway_settings, clock) as service:
        yield service


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)


class Browser:
    """A browser behind the proxy 192.0.2.10: keeps each host's cookies apart and follows the sign-in by hand."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self._hosts: dict[str, httpx.AsyncClient] = {}

    def at(self, host: str) -> httpx.AsyncClient:
        """The client whose cookies are this host's."""
        if host not in self._hosts:
            headers = PAGE | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5"}
            options: dict[str, Any] = {"base_url": f"https://{host}", "headers": headers, "client": PROXY}
            self._hosts[host] = self._service.another_client(**options)
        return self._hosts[host]

    @property
    def portal(self) -> httpx.AsyncClient:
        return self.at(urlsplit(PORTAL).netloc)

    async def get(self, url: str, **options: Any) -> httpx.Response:
        """Loads a page from this service, whichever host it is at."""
        parts = urlsplit(url)
        return await self.at(parts.netloc).get(f"{parts.path}?{parts.query}", **options)

    async def sign_in(self, name: str) -> None:
        answer = await self.portal.post("/api/session", json={"username": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text

    async def verify(self, path: str = "/", host: str = WIKI, method: str = "GET", **headers: str) -> httpx.Response:
        """Asks as Caddy would, with the cookies of the host."""
        return await self.at(host).get("/verify/forward-auth", headers=forwarded(path, host, method) | headers)

    async def enter(self, host: str = WIKI, path: str = "/") -> httpx.Response:
        """Goes from a refused page through the portal back to the host; the portal's session must be there."""
        refused = await self.verify(path, host)
        assert refused.status_code == 302, refused.text
        started = await self.get(refused.headers["location"])
        assert started.status_code == 302, started.text
        back = await self.get(started.headers["location"])
        assert back.status_code == 302, back.text
        return await self.get(back.headers["location"])


def forwarded(path: str = "/", host: str = WIKI, method: str = "GET") -> dict[str, str]:
    names = {"Proto": "https", "Host": host, "Uri": path, "Method": method, "For": "203.0.113.5"}
    return {f"X-Forwarded-{name}": value for name, value in names.items()}


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture
def browser(service: Running, cast: Cast) -> Browser:
    return Browser(service)
