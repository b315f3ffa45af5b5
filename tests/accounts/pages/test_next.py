"""Where to go after signing in: a page of this site, whatever the link said."""

from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.accounts.pages.reading import status
from tests.helpers.cast import PASSWORD, Cast
from tests.helpers.service import Running

HERE = "http://tallygate.test/sign-in"
EVIL = ["//evil.example", "https://evil.example", "/\\evil.example", "/%252f/evil.example", "javascript:alert(1)", ""]
"""Of each kind one: tests/web/test_redirects.py has the others."""
GOOD = ["/", "/admin/users?q=b%26c", "/a//b%20@c?d=" + "e" * 5000]
PIECES = st.sampled_from(
    ["/", "//", "\\", "%2f", "%5c", "%252f", "evil.example", "@", ":", "http:", "\t", "\n", "\r", "\x00", "%0a", "%00",
     "?", "#", ".", "..", ";", "／", "。", "é", "%", "%ff", "a", " "]
)  # fmt: skip
ASKED = st.one_of(
    st.lists(PIECES, max_size=8).map("".join), st.text(max_size=40), st.text(max_size=40).map("/".__add__)
)


def as_a_browser_reads(location: str) -> str:
    """WHATWG URL: tabs and line breaks are dropped, and a backslash is a slash."""
    cleaned = location.strip("".join(map(chr, range(33))))
    for character in "\t\r\n":
        cleaned = cleaned.replace(character, "")
    return cleaned.replace("\\", "/")


def stays(location: str) -> bool:
    """Whether every way of reading it leads to this site: as it is, and decoded by a careless proxy, also twice."""
    forms = (location, unquote(location), unquote(unquote(location)))
    targets = [urlsplit(urljoin(HERE, as_a_browser_reads(form))) for form in forms]
    plain = location.isascii() and location.isprintable() and location.startswith("/") and not location.startswith("//")
    return plain and all((target.scheme, target.netloc) == ("http", "tallygate.test") for target in targets)


async def sign_in(service: Running, target: str) -> httpx.Response:
    async with service.another_client() as client:
        return await client.post("/sign-in", data={"username": "bob", "password": PASSWORD, "next": target})


@pytest.mark.parametrize("target", EVIL)
async def test_unsafe_next_becomes_the_home_page(service: Running, cast: Cast, target: str) -> None:
    answer = await sign_in(service, target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    form = await service.client.get(f"/sign-in?next={quote(target, safe='')}")
    assert form.status_code == 200
    assert "evil.example" not in form.text


@pytest.mark.parametrize("target", GOOD)
async def test_safe_next_is_followed(service: Running, cast: Cast, target: str) -> None:
    answer = await sign_in(service, target)
    assert (answer.status_code, answer.headers["location"]) == (303, target)


@pytest.mark.slow
@settings(max_examples=150)
@given(target=ASKED)
@example(target="/%2509/evil.example")
async def test_fuzzed_next_stays_on_this_site(service: Running, cast: Cast, target: str) -> None:
    await service.state["limits"].signed_in("bob")
    service.state["rate_limiter"].ahead += 300  # every example has the address's whole allowance
    answer = await sign_in(service, target)
    assert answer.status_code == 303
    assert stays(answer.headers["location"]), answer.headers["location"]


@pytest.mark.slow
@settings(max_examples=150)
@given(query=st.one_of(ASKED.map(lambda text: quote(text, safe="/%")), st.binary(max_size=30).map(quote)))
async def test_fuzzed_next_stays_on_this_site_when_signed_in(bob: httpx.AsyncClient, query: str) -> None:
    answer = await bob.get(f"/sign-in?next={query}")
    assert answer.status_code == 303
    assert stays(answer.headers["location"]), answer.headers["location"]
    assert await status(bob) == 200


@pytest.mark.parametrize("target", ["//evil.example", "/account"])
async def test_the_target_survives_a_wrong_password_and_a_change_of_language(
    service: Running, cast: Cast, target: str
) -> None:
    page = await service.client.post("/sign-in", data={"username": "bob", "password": "no", "next": target})
    assert page.status_code == 401
    kept = "/account" if target == "/account" else "/"
    assert page.text.count(f'name="next" value="{kept}"') == 1
    assert page.text.count(f'name="next" value="/sign-in?next={kept}"') == 1
    switched = await service.client.post("/language", data={"locale": "zh", "next": f"/sign-in?next={kept}"})
    assert switched.headers["location"] == f"/sign-in?next={kept}"
