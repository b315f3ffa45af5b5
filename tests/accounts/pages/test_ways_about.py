"""Addresses that people try, error pages that lead back, the owner's own pages, and the first steps."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.accounts.invitations.setup_link import listening_at
from app.settings import Settings
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import alert, value_of
from tests.accounts.pages.test_sign_in_limits import exhaust
from tests.helpers.api import problem
from tests.helpers.cast import PASSWORD, Cast, make_cast
from tests.helpers.service import Running

GITHUB: dict[str, Any] = {"type": "github", "client_id": "x", "client_secret": "y"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/admin", "/admin/users"),
        ("/admin/", "/admin/users"),
        ("/sign-in/?next=/account", "/sign-in?next=/account"),
        ("/sign-up/", "/sign-up"),
        ("/account/", "/account"),
        ("/.well-known/change-password", "/account#password"),
    ],
)
async def test_addresses_that_people_try_lead_somewhere(client: httpx.AsyncClient, path: str, target: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, target)


async def test_programs_find_their_files(client: httpx.AsyncClient) -> None:
    robots, icon = await client.get("/robots.txt"), await client.get("/favicon.ico")
    assert "Disallow: /admin" in robots.text
    assert robots.headers["content-type"].startswith("text/plain")
    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")


async def test_error_page_has_the_header_and_links_back(alice: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    came_from = {"Referer": "http://tallygate.test/admin/users?q=b"}
    page = await alice.get("/nowhere", headers=came_from)
    assert page.status_code == 404
    assert 'href="/admin/users"' in page.text
    assert '<a class="button" href="/admin/users?q=b">Back to where you were</a>' in page.text
    for referer in (
        "http://evil.example/x",
        "http://tallygate.test/nowhere",
        "http://tallygate.test//evil.example",
        "[",
    ):
        assert "Back to where you were" not in (await alice.get("/nowhere", headers={"Referer": referer})).text
    assert 'href="/sign-in?next=/nowhere"' in (await client.get("/nowhere")).text


async def test_too_many_attempts_leave_the_other_ways_in(start: Start) -> None:
    async with start(oauth={"github": GITHUB}) as service:
        await make_cast(service)
        await exhaust(service, "192.0.2.1")
        form = {"username": "bob", "password": PASSWORD, "next": "/account"}
        page = await service.client.post("/sign-in", data=form)
        assert (page.status_code, value_of(page, "username")) == (429, "bob")
        assert int(page.headers["retry-after"]) > 0
        assert 'href="/oauth/github/start?next=/account"' in page.text
        assert "Too many attempts" in page.text


async def test_only_provider_redirects_sign_in(start: Start) -> None:
    async with start(oauth={"github": GITHUB}, only_provider="github") as service:
        answer = await service.client.get("/sign-in?next=/account")
        assert (answer.status_code, answer.headers["location"]) == (303, "/oauth/github/start?next=%2Faccount")
        site = await service.client.get("/sign-in?next=/gateway/authorize%3Fid=a")
        assert "data-onward" in site.text, "a page that passes the fragment on"
        assert 'name="password"' in (await service.client.get("/sign-in?password")).text
        assert 'name="password"' not in (await service.client.get("/sign-in?notice=password-reset")).text
    async with start(oauth={"github": GITHUB}, only_provider="nobody") as service:
        assert 'name="password"' in (await service.client.get("/sign-in")).text


async def test_before_the_setup_the_sign_in_page_says_so(service: Running) -> None:
    assert "There is no administrator yet." in (await service.client.get("/sign-in")).text
    await make_cast(service)
    assert "There is no administrator yet." not in (await service.client.get("/sign-in")).text


async def test_the_welcome_names_three_next_steps(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    page = await alice.get("/welcome")
    assert page.text.partition("<main")[2].count("<li>") == 3
    assert (await bob.get("/welcome")).status_code == 403


@pytest.mark.parametrize(
    ("argv", "environ", "origin"),
    [
        (["/x/app/__main__.py"], {}, "http://127.0.0.1:9000"),
        (["/bin/uvicorn", "app.main:app"], {}, "http://127.0.0.1:8000"),
        (["/bin/uvicorn", "app.main:app", "--port", "7000", "--host=::1"], {}, "http://[::1]:7000"),
        (
            ["/x/uvicorn/__main__.py", "app.main:app", "--host", "0.0.0.0"],
            {"UVICORN_PORT": "81"},
            "http://localhost:81",
        ),
    ],
)
def test_setup_link_has_the_listening_address(argv: list[str], environ: dict[str, str], origin: str) -> None:
    assert listening_at(Settings(port=9000), argv, environ) == origin
    published = listening_at(Settings(port=9000, published_port=8443), argv, environ)
    assert published == f"{origin.rpartition(':')[0]}:8443"


async def test_the_owner_names_the_pages(start: Start, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"\x89PNG")
    words = {"site_name": "Harbour <&>", "footer": "Ask Ann.", "environment_label": "Staging", "logo_file": logo}
    async with start(**words) as service:
        for path in ("/", "/sign-in", "/nowhere"):
            page = (await service.client.get(path)).text
            assert all(word in page for word in ("Harbour &lt;&amp;&gt;", "Ask Ann.", "Staging", 'src="/logo"')), path
        picture = await service.client.get("/logo")
        assert (picture.headers["content-type"], picture.content) == ("image/png", b"\x89PNG")
        logo.unlink()
        assert (await service.client.get("/logo")).status_code == 404


async def test_a_wrong_token_has_a_sentence_of_its_own(service: Running, cast: Cast) -> None:
    answer = await service.client.get("/api/account", headers={"Authorization": "Bearer tgt_nonsense"})
    assert problem(answer, 401)["detail"].startswith("The API token is unknown, revoked or expired")
    assert problem(await service.client.get("/api/account"), 401)["detail"] == "Please sign in to see this page."


async def test_times_are_localised_in_utc(alice: httpx.AsyncClient) -> None:
    page = await alice.get("/account")
    assert " UTC</time>" in page.text
    chinese = (await alice.get("/account", headers={"Accept-Language": "zh"})).text
    assert "年" in chinese.partition("<time")[2].partition("</time>")[0]
    assert alert(page) is None
