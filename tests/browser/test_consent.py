"""Somebody who clicks twice where once is meant."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visitor
from tests.helpers.cast import PASSWORD
from tests.helpers.service import process
from tests.helpers.sockets import free_port
from tests.helpers.valkey import Valkey

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def issuer(short_folder: Path, server: Valkey) -> Iterator[str]:
    """A service with a client that comes back to the service's own home page."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    client = {"secret": "a-secret-of-unreserved-characters", "pkce": False, "redirect_uris": [f"{url}/"]}
    settings = {"public_url": url, "clients": json.dumps({"app": client}), "registration": "open"}
    with process(short_folder / "consent", port=str(port), redis_url=server.url, **settings) as service:
        service.url()
        yield url


def test_a_double_click_on_allow_goes_on_to_the_service(issuer: str, meet: Callable[..., Visitor]) -> None:
    query = {"client_id": "app", "redirect_uri": f"{issuer}/", "response_type": "code", "scope": "openid"}
    tab = meet().tab(f"{issuer}/oauth2/authorize?{urlencode(query)}")
    tab.get_by_role("link", name="Create an account").click()
    tab.get_by_label("Username").fill("dora")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Create the account").click()
    sent: list[str] = []

    def answer_late(route: Route) -> None:
        sent.append(route.request.url)
        time.sleep(0.3)
        route.continue_()

    tab.route("**/oauth2/consent", answer_late)
    tab.get_by_role("button", name="Allow").evaluate(
        "(button) => { button.click(); setTimeout(() => button.click(), 50); }"
    )
    expect(tab).to_have_url(re.compile(r"/\?code="))
    assert len(sent) == 1
