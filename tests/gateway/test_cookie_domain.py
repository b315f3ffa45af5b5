"""`gateway_cookie_domain`: one cookie for all protected hosts of a domain."""

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.gateway.conftest import FILES, PORTAL, RULES, WIKI, Browser
from tests.helpers.cast import make_cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running

INSIDE = "a.internal.example.com"
NAME = "__Secure-tallygate-site"


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    options = {"public_url": PORTAL, "rules": RULES, "trusted_proxies": ("192.0.2.10",)}
    async with running(make_settings(gateway_cookie_domain="Example.com", **options), clock) as service:
        yield service


async def test_sign_in_at_one_host_is_one_at_all_hosts_of_the_domain(service: Running) -> None:
    await make_cast(service)
    browser = Browser(service)
    await browser.sign_in("bob")
    entered = await browser.enter(WIKI)
    (line,) = entered.headers.get_list("set-cookie")
    assert line.startswith(f"{NAME}=")
    assert {"Domain=example.com", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(line.split("; "))
    cookie = f"{NAME}={line.partition('=')[2].partition(';')[0]}"
    for _ in range(2):
        for host in (WIKI, INSIDE):
            answer = await browser.verify("/page", host, Cookie=cookie)
            assert answer.headers["remote-user"] == "bob", host
        assert (await browser.verify("/page", FILES, Cookie=cookie)).status_code == 302, "another domain"
    assert (await browser.verify("/", FILES, Cookie=cookie.replace("Secure", "Host"))).status_code == 302
    done = await browser.at(INSIDE).post("/.tallygate/sign-out", headers={"Cookie": cookie})
    assert f"{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Domain=example.com" in done.headers["set-cookie"]
    assert (await browser.verify("/page", WIKI, Cookie=cookie)).status_code == 302


async def test_host_of_another_domain_keeps_a_cookie_of_its_own(service: Running) -> None:
    await make_cast(service)
    browser = Browser(service)
    await browser.sign_in("bob")
    (line,) = (await browser.enter(FILES)).headers.get_list("set-cookie")
    assert line.startswith("__Host-tallygate-site=")
    assert "Domain" not in line
    assert (await browser.verify("/", FILES)).status_code == 200


@pytest.mark.parametrize("domain", ["", "com", ".example.com", "https://example.com", "192.0.2.1", "a..b", "é.com"])
def test_malformed_domains_are_refused(domain: str) -> None:
    with pytest.raises(ValidationError, match="gateway_cookie_domain"):
        Settings(gateway_cookie_domain=domain)
