"""A person signs in with an OpenID provider that nobody here wrote, and that is another site for the browser."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.web.i18n import Locales
from dev.openid import Client, NodeMissing, openid_provider
from dev.serving import served
from dev.wechat.simulator import Simulator
from tests.browser.conftest import Visitor, forgive
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process, process
from tests.helpers.sockets import free_port
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Meet = Callable[..., Visitor]
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
CLIENT = Client("corp", "tallygate", "secret of the client")


@pytest.fixture(scope="module")
def home() -> str:
    """The service's address, which the provider has to know beforehand."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def issuer(home: str) -> Iterator[str]:
    try:
        with openid_provider(CLIENT, [home]) as address:
            yield address
    except NodeMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    with served(Simulator({"wx": "secret"}).app()) as address:
        yield address


@pytest.fixture
def service(home: str, issuer: str, wechat: str, short_folder: Path, server: Valkey) -> Iterator[Process]:
    corp = {
        "type": "oidc",
        "label": "Corp",
        "issuer": issuer,
        "client_id": CLIENT.id,
        "client_secret": str(CLIENT.secret),
        "sign_out_there": "true",
        "allow": "everybody",
    }
    weixin = {
        "type": "wechat",
        "appid": "wx",
        "secret": "secret",
        "open_url": wechat,
        "api_url": wechat,
        "allow": "everybody",
    }
    settings = {f"oauth__corp__{key}": value for key, value in corp.items()}
    settings |= {f"oauth__wechat__{key}": value for key, value in weixin.items()}
    settings |= {"public_url": home, "rules": '[{"hosts": ["localhost"], "allow": "signed-in"}]'}
    settings |= {"port": home.rpartition(":")[2], "redis_url": server.url, "registration": "open"}
    with process(short_folder / "elsewhere", **settings) as service:
        assert service.url() == home
        yield service


def sign_in_there(page: Page, name: str) -> None:
    """Says at the provider who it is, and consents."""
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def sign_up(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_sign_in_sign_out_and_second_sign_in_in_chromium(
    service: Process, meet: Meet, home: str, issuer: str, javascript: bool
) -> None:
    page = meet(java_script_enabled=javascript).tab(f"{home}/account")
    page.get_by_role("link", name="Sign in with Corp").click()
    expect(page).to_have_url(re.compile(f"{issuer}/interaction/"))
    sign_in_there(page, "alice")
    expect(page).to_have_url(f"{home}/account")
    expect(page.get_by_role("link", name="alice", exact=True)).to_be_visible()
    expect(page.get_by_text("Corp alice Doe")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(f"{issuer}/session/end"))
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page).to_have_url(f"{home}/")
    page.get_by_role("link", name="Sign in").click()

    page.get_by_role("link", name="Sign in with Corp").click()
    sign_in_there(page, "alice")
    expect(page).to_have_url(f"{home}/")
    expect(page.get_by_role("link", name="alice", exact=True)).to_be_visible()


def test_fragment_of_a_protected_page_survives_the_provider(service: Process, meet: Meet, home: str) -> None:
    site = home.replace("127.0.0.1", "localhost")
    page = meet().tab(f"{site}/.tallygate/start?next=/live%3Fa=b#part%20two")
    page.get_by_role("link", name="Sign in with Corp").click()
    sign_in_there(page, "alice")
    expect(page).to_have_url(f"{site}/live?a=b#part%20two")


def test_second_browser_signs_in_without_questions(service: Process, meet: Meet, home: str) -> None:
    alice = meet()
    page = alice.tab(f"{home}/oauth/corp/start")
    sign_in_there(page, "alice")
    expect(page).to_have_url(f"{home}/")
    alice.context.clear_cookies(domain="127.0.0.1")
    page.goto(f"{home}/sign-in?next=/account/devices")
    page.get_by_role("link", name="Sign in with Corp").click()
    expect(page).to_have_url(f"{home}/account/devices")
    expect(page.get_by_role("link", name="alice", exact=True)).to_be_visible()


def test_an_identity_is_linked_signed_in_with_and_unlinked(service: Process, meet: Meet, home: str) -> None:
    bob = meet()
    page = bob.tab(f"{home}/sign-up?next=/account")
    sign_up(page, "bob")
    page.get_by_role("button", name="Link Corp").click()
    sign_in_there(page, "robert")
    expect(page).to_have_url(f"{home}/account")
    expect(page.get_by_text("Corp robert Doe")).to_be_visible()

    bob.context.clear_cookies(domain="127.0.0.1")
    page.goto(f"{home}/sign-in?next=/account")
    page.get_by_role("link", name="Sign in with Corp").click()
    expect(page.get_by_role("link", name="bob", exact=True)).to_be_visible()
    page.get_by_role("link", name="Unlink: Corp robert Doe").click()
    page.get_by_role("button", name="Unlink").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_text("The account has been unlinked")).to_be_visible()
    expect(page.get_by_role("link", name="Unlink")).to_have_count(0)

    bob.context.clear_cookies(domain="127.0.0.1")
    page.goto(f"{home}/oauth/corp/start?next=/account")
    expect(page.get_by_role("link", name="robert", exact=True)).to_be_visible()


def test_a_linked_account_confirms_a_first_password_and_is_unlinked(service: Process, meet: Meet, home: str) -> None:
    alice = meet()
    page = alice.tab(f"{home}/oauth/corp/start?next=/account")
    sign_in_there(page, "alice")
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    page.get_by_role("button", name="Continue with Corp").click()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Your password has been changed.")
    page.get_by_role("link", name="Unlink").click()
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("link", name="Unlink")).to_have_count(0)


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_cancelled_consent_is_told_in_the_readers_language(
    service: Process, meet: Meet, home: str, locale: str
) -> None:
    say = partial(Locales().translate, locale)
    alice = meet(locale=locale)
    page = alice.tab(f"{home}/sign-in?next=/account")
    page.get_by_role("link", name=say("Sign in with %(provider)s") % {"provider": "Corp"}).click()
    page.get_by_role("link", name="[ Cancel ]").click()
    expect(page.get_by_role("heading", name=say("Sign in"))).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text(say("The sign-in was cancelled."))
    reference = page.get_by_role("alert").locator("code").inner_text()
    until(lambda: f'"request_id":"{reference}"' in service.output)
    assert "access_denied" in service.output
    forgive(alice, 403)


def test_cancelled_linking_returns_to_the_account(service: Process, meet: Meet, home: str) -> None:
    bob = meet()
    page = bob.tab(f"{home}/sign-up?next=/account")
    sign_up(page, "bob")
    page.get_by_role("button", name="Link Corp").click()
    page.get_by_role("link", name="[ Cancel ]").click()
    expect(page.get_by_role("alert")).to_contain_text("The sign-in was cancelled.")
    expect(page.get_by_role("heading", name="Linked accounts")).to_be_visible()
    forgive(bob, 403)


def test_signing_out_at_the_provider_ends_the_session_here(
    service: Process, meet: Meet, home: str, issuer: str
) -> None:
    alice = meet()
    page = alice.tab(f"{home}/oauth/corp/start?next=/account")
    sign_in_there(page, "alice")
    expect(page).to_have_url(f"{home}/account")
    there = alice.tab(f"{issuer}/session/end")
    there.get_by_role("button", name="Yes, sign me out").click()
    expect(there.get_by_role("heading", name="Sign-out Success")).to_be_visible()
    page.reload()
    expect(page).to_have_url(f"{home}/sign-in?next=/account")


@pytest.mark.parametrize("browser", [PHONE, f"{PHONE} MicroMessenger/8.0.42"], ids=["outside", "inside"])
def test_a_code_is_scanned_or_refused_with_wechat(service: Process, meet: Meet, home: str, browser: str) -> None:
    zhang = meet(locale="zh-CN", user_agent=browser, viewport={"width": 390, "height": 800})
    page = zhang.tab(f"{home}/sign-in?next=/account")
    page.get_by_role("link", name="使用 微信 WeChat 登录").click()
    page.get_by_role("button", name="拒绝").click()
    expect(page.get_by_role("status")).to_contain_text("登录已取消。")
    page.goto(f"{home}/sign-in?next=/account")
    page.get_by_role("link", name="使用 微信 WeChat 登录").click()
    page.get_by_role("button", name="张三").click()
    expect(page).to_have_url(f"{home}/account")
    expect(page.get_by_role("link", name="张三", exact=True)).to_be_visible()
