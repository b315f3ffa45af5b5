"""The fragment of a protected page (`#section`) travels in `next`: through forms, second steps and providers."""

import base64

import pytest

from tests.gateway.conftest import PORTAL, WIKI, Browser, query_of
from tests.helpers.cast import PASSWORD


def packed(fragment: str) -> str:
    return base64.urlsafe_b64encode(fragment.encode()).decode().rstrip("=")


async def test_fragment_comes_back_after_the_sign_in(browser: Browser) -> None:
    started = await browser.get(f"https://{WIKI}/.tallygate/start?next=/page")
    asked = f"{started.headers['location']}&fragment={packed('a=/b%20c')}"
    target = query_of((await browser.get(asked)).headers["location"])["next"]
    done = await browser.portal.post("/sign-in", data={"username": "bob", "password": PASSWORD, "next": target})
    back = await browser.get(f"{PORTAL}{done.headers['location']}")
    assert back.headers["location"].startswith(f"https://{WIKI}/.tallygate/finish?code=")
    assert back.headers["location"].endswith("#a=/b%20c")
    assert (await browser.get(back.headers["location"].partition("#")[0])).headers["location"] == f"https://{WIKI}/page"


@pytest.mark.parametrize(
    "text", ["====", "!", "é", packed("a b"), packed("a\r\nSet-Cookie: x"), packed("é"), packed("a" * 1200), "AAAAA"]
)
async def test_malformed_fragments_are_left_out(browser: Browser, text: str) -> None:
    await browser.sign_in("bob")
    started = await browser.get(f"https://{WIKI}/.tallygate/start?next=/page")
    back = await browser.portal.get(
        started.headers["location"], params={"id": query_of(started.headers["location"])["id"], "fragment": text}
    )
    assert back.status_code == 302
    assert "#" not in back.headers["location"]
