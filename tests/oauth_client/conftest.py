"""What tests of signing in elsewhere share: a provider, the service that knows it, and browsers that sign in."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from dev.serving import served
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, FakeOpenId
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

Start = Callable[..., Any]


@pytest.fixture(scope="session")
def served_provider() -> Iterator[FakeOpenId]:
    provider = FakeOpenId()
    with served(provider.app()) as address:
        provider.issuer = address
        yield provider


@pytest.fixture
def provider(served_provider: FakeOpenId, clock: Clock) -> FakeOpenId:
    """The session's provider, well-behaved, on the test's clock."""
    served_provider.reset()
    served_provider.now = clock
    return served_provider


def corp(provider: FakeOpenId, **changes: Any) -> dict[str, Any]:
    """A provider's table."""
    return {
        "type": "oidc",
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "label": "Corp",
        "allow": "everybody",
    } | changes


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    """The providers; a test may change them before it asks for `service` or `flow`."""
    return {"corp": corp(provider)}


@pytest.fixture
async def service(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]], clock: Clock
) -> AsyncIterator[Running]:
    async with running(make_settings(oauth=tables, oauth_timeout=PATIENCE / 2), clock) as service:
        yield service


@pytest.fixture
def browser(service: Running) -> httpx.AsyncClient:
    return service.another_client(headers={"Accept": "text/html"})


@pytest.fixture
def flow(browser: httpx.AsyncClient) -> OAuthFlow:
    return OAuthFlow(browser)


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)


@pytest.fixture
async def bob(service: Running, cast: Cast) -> OAuthFlow:
    """The browser of somebody who has signed in with a password."""
    return OAuthFlow(await signed_in(service, "bob", headers={"Accept": "text/html"}))


@pytest.fixture
def users(server: Valkey) -> Callable[[], int]:
    """How many users, or identities, there are in the store."""

    def count() -> int:
        with server.client as client:
            return sum(1 for _ in client.scan_iter("{accounts}:user:*")) + sum(
                1 for _ in client.scan_iter("{accounts}:identit*")
            )

    return count


@pytest.fixture
def start(make_settings: Callable[..., Settings], provider: FakeOpenId, clock: Clock) -> Start:
    """Starts a service whose provider has another rule."""

    def started(registration: str = "invitation", **changes: Any) -> Any:
        return running(make_settings(oauth={"corp": corp(provider, **changes)}, registration=registration), clock)

    return started
