"""Signing in at protected hosts of different domains."""

import pytest

from tests.gateway.conftest import FILES, PORTAL, WIKI, Browser, query_of
from tests.helpers.cast import PASSWORD
from tests.helpers.clock import Clock
from tests.helpers.service import Running


async def test_sign_in_opens_hosts_of_different_domains(browser: Browser) -> None:
    await browser.sign_in("bob")
    for host in (WIKI, FILES, "a.b.internal.example.com"):
        entered = await browser.enter(host, "/page?x=1")
        assert entered.headers["location"] == f"https://{host}/page?x=1"
        assert (await browser.verify("/page", host)).headers["remote-user"] == "bob"


async def test_each_host_gets_its_own_cookie(browser: Browser) -> None:
    await browser.sign_in("bob")
    entered = await browser.enter()
    (cookie,) = entered.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-tallygate-site=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert (entered.headers["cache-control"], entered.headers["vary"]) == ("no-store", "Cookie")


async def test_host_cookie_is_refused_at_other_hosts_and_the_portal(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    stolen = browser.at(WIKI).cookies.get("__Host-tallygate-site") or ""
    for host in (FILES, "sign-in.example.org"):
        thief = Browser(browser._service)
        thief.at(host).cookies.set("__Host-tallygate-site", stolen)
        thief.at(host).cookies.set("__Host-tallygate", stolen)
        assert (await thief.verify("/", FILES)).status_code == 302
        assert (await thief.at(host).get("/api/session")).status_code == 401


async def test_signing_in_at_the_portal_leads_back(browser: Browser) -> None:
    refused = await browser.verify("/deep?x=1&y=%2F")
    started = await browser.get(refused.headers["location"])
    asked = await browser.get(started.headers["location"])
    assert asked.status_code == 303
    sign_in = await browser.get(f"{PORTAL}{asked.headers['location']}")
    assert 'name="next" value="/gateway/authorize?id=' in sign_in.text
    target = query_of(asked.headers["location"])["next"]
    form = {"username": "bob", "password": PASSWORD, "next": target}
    done = await browser.portal.post("/sign-in", data=form)
    assert done.status_code == 303
    back = await browser.get(f"{PORTAL}{done.headers['location']}")
    entered = await browser.get(back.headers["location"])
    assert entered.headers["location"] == f"https://{WIKI}/deep?x=1&y=%2F"


@pytest.mark.parametrize(
    "target",
    ["/wiki/Caf%C3%A9", "/a%20b", "/@x", "/a//b", "//a", "/a?b=c&d=%26&e=%2B+f", "/;x?{a}|b", "/" + 8000 * "a"],
)
async def test_deep_links_come_back_byte_for_byte(browser: Browser, target: str) -> None:
    await browser.sign_in("bob")
    entered = await browser.enter(WIKI, target)
    assert entered.headers["location"] == f"https://{WIKI}{target}"


@pytest.mark.parametrize("target", ["https://evil.test/", "evil", "/a\\b", "/a\r\nb", "/\u00e9", "", "/" + 9000 * "a"])
async def test_target_elsewhere_is_refused(browser: Browser, target: str) -> None:
    answer = await browser.at(WIKI).get("/.tallygate/start", params={"next": target})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


async def test_hosts_without_rules_take_no_part(browser: Browser) -> None:
    assert (await browser.at("evil.test").get("/.tallygate/start")).status_code == 404
    assert (await browser.at("evil.test").get("/.tallygate/finish?code=a&state=b")).status_code == 404


async def test_code_does_not_leave_a_portal_with_tls_without_it(browser: Browser) -> None:
    answer = await browser.at(WIKI).get("/.tallygate/start", headers={"X-Forwarded-Proto": "http"})
    assert answer.status_code == 400
    assert "X-Forwarded-Proto" in answer.text


async def _finish_url(browser: Browser, host: str = WIKI) -> str:
    refused = await browser.verify("/", host)
    started = await browser.get(refused.headers["location"])
    return str((await browser.get(started.headers["location"])).headers["location"])


async def test_code_is_good_once_and_a_replay_is_audited(browser: Browser, service: Running) -> None:
    await browser.sign_in("bob")
    url = await _finish_url(browser)
    assert (await browser.get(url)).status_code == 302
    replayed = await browser.get(url)
    assert replayed.status_code == 400
    assert "set-cookie" not in replayed.headers
    entries = (await service.state["audit"].page()).entries
    assert [entry.event for entry in entries].count("site_code_replayed") == 1


async def test_code_is_good_for_a_minute(browser: Browser, clock: Clock) -> None:
    await browser.sign_in("bob")
    url = await _finish_url(browser)
    clock.move(61)
    assert (await browser.get(url)).status_code == 400


async def test_code_is_good_in_its_browser_only(browser: Browser) -> None:
    await browser.sign_in("bob")
    url = await _finish_url(browser)
    thief = Browser(browser._service)
    assert (await thief.get(url)).status_code == 400
    await thief.get(f"https://{WIKI}/.tallygate/start")
    url = await _finish_url(browser)
    assert (await thief.get(url)).status_code == 400, "with a state cookie of another attempt"


async def test_code_is_good_at_its_host_only(browser: Browser) -> None:
    await browser.sign_in("bob")
    url = await _finish_url(browser)
    await browser.at(FILES).get("/.tallygate/start")
    assert (await browser.get(url.replace(WIKI, FILES))).status_code == 400


@pytest.mark.parametrize("change", ["code", "state"])
async def test_changed_code_or_state_is_refused(browser: Browser, change: str) -> None:
    await browser.sign_in("bob")
    url = await _finish_url(browser)
    parts = query_of(url)
    parts[change] = "A" * 32
    answer = await browser.at(WIKI).get("/.tallygate/finish", params=parts)
    assert answer.status_code == 400
    assert parts["code"] not in answer.text


async def test_two_tabs_both_finish_signing_in(browser: Browser) -> None:
    await browser.sign_in("bob")
    first, second = await _finish_url(browser), await _finish_url(browser)
    assert (await browser.get(first)).status_code == 302
    assert (await browser.get(second)).status_code == 302
    assert (await browser.verify()).status_code == 200


async def test_signing_out_at_the_portal_ends_all_hosts(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter(WIKI)
    await browser.enter(FILES)
    await browser.portal.delete("/api/session")
    assert (await browser.verify("/", WIKI)).status_code == 302
    assert (await browser.verify("/", FILES)).status_code == 302


async def test_signing_out_at_a_host_ends_the_portal_and_all_hosts(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter(WIKI)
    await browser.enter(FILES)
    page = await browser.at(WIKI).get("/.tallygate/sign-out")
    assert 'action="/.tallygate/sign-out"' in page.text
    assert (await browser.verify()).status_code == 200, "asking changes nothing"
    done = await browser.at(WIKI).post("/.tallygate/sign-out")
    assert done.status_code == 200
    assert "Max-Age=0" in done.headers["set-cookie"]
    assert (await browser.verify("/", FILES)).status_code == 302
    assert (await browser.portal.get("/api/session")).status_code == 401


async def test_another_sites_form_cannot_sign_out(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter(WIKI)
    answer = await browser.at(WIKI).post("/.tallygate/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert (await browser.verify()).status_code == 200


async def test_old_session_does_not_outlive_a_new_sign_in(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter(WIKI)
    old = browser.at(WIKI).cookies.get("__Host-tallygate-site") or ""
    await browser.sign_in("charlie")
    assert (await browser.verify()).status_code == 302
    await browser.enter(WIKI)
    assert (await browser.verify()).headers["remote-user"] == "charlie"
    thief = Browser(browser._service)
    thief.at(WIKI).cookies.set("__Host-tallygate-site", old)
    assert (await thief.verify()).status_code == 302


async def test_within_asks_to_sign_in_again(browser: Browser, clock: Clock) -> None:
    await browser.sign_in("bob")
    await browser.enter(WIKI)
    assert (await browser.verify("/vault")).status_code == 200
    clock.move(601)
    assert (await browser.verify("/")).status_code == 200
    refused = await browser.verify("/vault")
    assert refused.status_code == 302
    started = await browser.get(refused.headers["location"])
    asked = await browser.get(started.headers["location"])
    assert asked.status_code == 303, "the portal confirms who it is first"
    await browser.sign_in("bob")
    back = await browser.get(started.headers["location"])
    entered = await browser.get(back.headers["location"])
    assert entered.headers["location"] == f"https://{WIKI}/vault"
    assert (await browser.verify("/vault")).status_code == 200


async def test_after_a_form_a_page_leads_on_to_the_host(browser: Browser) -> None:
    await browser.sign_in("bob")
    refused = await browser.verify()
    started = await browser.get(refused.headers["location"])
    page = await browser.get(started.headers["location"], headers={"Sec-Fetch-Site": "same-origin"})
    assert page.status_code == 200
    assert f"https://{WIKI}/.tallygate/finish?code=" in page.text


async def test_files_of_the_pages_come_from_the_host(browser: Browser, service: Running) -> None:
    answer = await browser.at(WIKI).get("/.tallygate/static/style.css")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")


async def test_portals_address_needs_a_known_id(browser: Browser, clock: Clock) -> None:
    assert (await browser.portal.get("/gateway/authorize")).status_code == 400
    assert (await browser.portal.get(f"/gateway/authorize?id={'A' * 32}")).status_code == 400
    started = await browser.get(f"https://{WIKI}/.tallygate/start")
    clock.move(901)
    assert (await browser.get(started.headers["location"])).status_code == 400


async def test_authenticating_again_at_the_portal_keeps_the_sign_ins_at_hosts(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    await browser.portal.post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert (await browser.verify("/page")).status_code == 200
    await browser.portal.delete("/api/session")
    assert (await browser.verify("/page")).status_code == 302
