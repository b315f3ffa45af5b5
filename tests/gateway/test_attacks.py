"""What attackers send to a protected host and to the endpoints: nobody is signed in, and nothing leads elsewhere."""

import pytest

from app.gateway.lifespan import check_gateway
from app.settings import Settings, SettingsError
from tests.gateway.conftest import FILES, PAGE, PORTAL, PROXY, RULES, WIKI, Browser, forwarded, query_of
from tests.helpers.service import Running


def test_sessions_in_the_cookie_cannot_stand_before_sites() -> None:
    with pytest.raises(SettingsError, match="rules: need session_store") as refused:
        check_gateway(Settings(session_store="cookie", rules=RULES, public_url=PORTAL))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["evil.test", "wiki.example.com.evil.test", "wiki.example.com@evil.test", "a b", ""])
async def test_start_refuses_foreign_hosts(service: Running, host: str) -> None:
    stranger = service.another_client(client=PROXY)
    headers = PAGE | {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-Host": WIKI}
    for path in ("/.tallygate/start?next=/", "/.tallygate/finish?code=a&state=b"):
        answer = await stranger.get(path, headers=headers)
        assert 400 <= answer.status_code < 500
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["//evil.test/", "/@evil.test", "/.evil.test", "/%0d%0aSet-Cookie:a=b", "/%5cevil.test"]
)
async def test_path_like_another_host_stays_a_path(browser: Browser, target: str) -> None:
    await browser.sign_in("bob")
    started = await browser.at(WIKI).get("/.tallygate/start", params={"next": target})
    back = await browser.get((await browser.get(started.headers["location"])).headers["location"])
    assert back.headers["location"] == f"https://{WIKI}{target}"


@pytest.mark.parametrize(
    "query", ["next=/&next=//evil.test", "next=%2F%0d%0aX:y", "next=javascript:alert(1)", "within=-1", "within=x"]
)
async def test_odd_parameters_of_a_start_are_refused_or_stay_here(browser: Browser, query: str) -> None:
    answer = await browser.at(WIKI).get(f"/.tallygate/start?{query}")
    if answer.status_code == 302:
        assert answer.headers["location"].startswith(f"{PORTAL}/gateway/authorize?id=")
    else:
        assert answer.status_code == 400


async def test_code_of_another_client_is_refused_at_sign_in(browser: Browser) -> None:
    """Login CSRF: the attacker's own attempt, finished in the victim's browser."""
    await browser.sign_in("bob")
    started = await browser.get(f"https://{WIKI}/.tallygate/start")
    url = (await browser.get(started.headers["location"])).headers["location"]
    victim = Browser(browser._service)
    answer = await victim.get(url)
    assert answer.status_code == 400
    assert "__Host-tallygate-site" not in answer.headers.get("set-cookie", "")
    assert (await browser.get(url)).status_code == 400, "and it is used up"
    assert query_of(url)["code"] not in answer.text


async def test_session_of_one_host_is_none_at_another_even_when_both_are_cached(browser: Browser) -> None:
    await browser.sign_in("bob")
    for host in (WIKI, FILES):
        await browser.enter(host)
        assert (await browser.verify("/", host)).status_code == 200
    cookie = f"__Host-tallygate-site={browser.at(WIKI).cookies['__Host-tallygate-site']}"
    thief = browser._service.another_client(client=PROXY)
    for host, status in ((WIKI, 200), (FILES, 401), (WIKI, 200), (FILES, 401)):
        answer = await thief.get("/verify/forward-auth", headers=forwarded("/", host) | {"Cookie": cookie})
        assert answer.status_code == status


async def test_tokens_in_query_or_form_are_refused(browser: Browser, service: Running, cast: object) -> None:
    bob = await service.state["accounts"].by_name("bob")
    secret, _ = await service.state["tokens"].create(bob.id, "git")
    asked = f"/bob?access_token={secret}&authorization=Bearer%20{secret}"
    assert (await browser.verify(asked, Accept="*/*")).status_code == 401
    assert (await browser.verify("/bob", Accept="*/*", Authorization=f"Token {secret}")).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"X-Forwarded-Host": "wiki%2eexample.com"}, {"X-Forwarded-Host": "[::ffff:192.0.2.1]"},
        {"X-Forwarded-Host": "wiki.example.com:0"}, {"X-Forwarded-Host": "wiki.example.com:99999"},
        {"X-Forwarded-Host": "wiki..example.com"}, {"X-Forwarded-Host": "wiki.example.com/"},
        {"X-Forwarded-Host": "bob@wiki.example.com"}, {"X-Forwarded-Host": "wiki.example.com\tx"},
        {"X-Forwarded-Host": FILES}, {"X-Forwarded-Uri": "//page\\..\\x\x7f"}, {"X-Forwarded-Proto": "http"},
        {"X-Forwarded-Method": "get"}, {"X-Forwarded-Uri": "/public/..%2fpage%00"}, {"Cookie": "a=b"},
        {"Authorization": "Bearer tgt_unknown"},
    ],
)  # fmt: skip
async def test_remembered_answer_is_no_answer_to_another_question(browser: Browser, change: dict[str, str]) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    for _ in range(3):
        assert (await browser.verify("/page")).status_code == 200
    answer = await browser.verify("/page", **change)
    assert answer.status_code in {302, 400, 401, 403}
    assert "remote-user" not in answer.headers
    assert (await browser.verify("/page")).status_code == 200


@pytest.mark.parametrize("host", ["WIKI.Example.com", "wiki.example.com.", "wiki.example.com:443"])
async def test_spellings_of_a_host_are_the_same_host(browser: Browser, host: str) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    assert (await browser.verify("/bob", **{"X-Forwarded-Host": host})).headers["remote-user"] == "bob"
