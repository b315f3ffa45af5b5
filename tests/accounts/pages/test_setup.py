"""The first administrator: by the link that a start prints when there is none."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest

from app.accounts.invitations.setup_link import setup_token
from app.accounts.users.search import UserFilter
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, status, value_of
from tests.helpers.cast import PASSWORD, make_cast
from tests.helpers.service import Process, Running, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually, until

LINK_WITHOUT_PORT = re.compile(r"/setup\?token=[0-9a-f]{64}\n")
LINK = re.compile(r"make the administrator's account at (http://127\.0\.0\.1:\d+/setup\?token=[0-9a-f]{64})\n")


async def token_of(service: Running) -> str:
    return await setup_token(service.state["accounts"], service.state["settings"])


async def set_up(
    client: httpx.AsyncClient, token: str, name: str = "alice", password: str = PASSWORD
) -> httpx.Response:
    return await client.post("/setup", data={"token": token, "username": name, "password": password})


async def test_the_links_form_makes_the_administrator_and_signs_in(client: httpx.AsyncClient, service: Running) -> None:
    token = await token_of(service)
    page = await client.get(f"/setup?token={token}")
    assert page.status_code == 200
    assert value_of(page, "token") == token
    answer = await set_up(client, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome")
    assert (await client.get("/api/session")).json()["user"]["is_admin"] is True
    assert (await client.get("/admin/users")).status_code == 200


async def test_once_there_is_an_administrator_the_link_is_dead(client: httpx.AsyncClient, service: Running) -> None:
    token = await token_of(service)
    assert (await set_up(client, token)).status_code == 303
    late = service.another_client()
    assert (await late.get(f"/setup?token={token}")).status_code == 404
    assert (await set_up(late, token, "eve")).status_code == 404
    assert await status(late) == 401


@pytest.mark.parametrize("query", ["", "?token=", "?token=" + "0" * 64, "?token=%00", "?token=%C3%A9", "?token=%ff"])
async def test_wrong_setup_token_is_not_found(client: httpx.AsyncClient, service: Running, query: str) -> None:
    right = await token_of(service)
    assert (await client.get(f"/setup{query}")).status_code == 404
    assert (await set_up(client, query.removeprefix("?token="))).status_code == 404
    assert (await set_up(client, right[:-1])).status_code == 404
    assert not await service.state["accounts"].has_admin()


@pytest.mark.parametrize(
    ("name", "password", "field", "reason"),
    [
        ("", PASSWORD, "username", "Please enter a name."),
        ("bob", PASSWORD, "username", "This name is taken."),
        ("alice", "short", "password", "A password has at least 8 characters."),
    ],
)
async def test_mistake_is_shown_at_its_field_and_the_link_stays_valid(
    client: httpx.AsyncClient, service: Running, name: str, password: str, field: str, reason: str
) -> None:
    await service.state["accounts"].create("bob", None)
    token = await token_of(service)
    page = await set_up(client, token, name, password)
    assert page.status_code == 400
    assert error_at(page, field) == reason
    assert value_of(page, "token") == token
    assert value_of(page, "username") == name
    assert (await set_up(client, token)).status_code == 303


async def test_concurrent_setups_make_one_administrator(service: Running, elsewhere: Running) -> None:
    token = await token_of(service)
    browsers = [one.another_client() for one in (service, elsewhere) * 2]
    answers = await asyncio.gather(
        *(set_up(browser, token, f"admin{number}") for number, browser in enumerate(browsers))
    )
    assert Counter(answer.status_code for answer in answers) == {303: 1, 404: 3}
    assert (await service.state["user_search"].find(UserFilter())).total == 1


async def test_guessing_setup_tokens_is_limited(client: httpx.AsyncClient, service: Running) -> None:
    token = await token_of(service)
    answers = [(await client.get(f"/setup?token={number}")).status_code for number in range(11)]
    assert answers == [404] * 10 + [429]
    assert (await set_up(client, "0" * 64)).status_code == 429
    assert (await client.get(f"/setup?token={token}")).status_code == 200
    assert (await set_up(client, token)).status_code == 303


async def test_other_secret_key_makes_another_link(start: Start, service: Running) -> None:
    async with start(secret_key="another key than that of the tests") as other:
        assert await token_of(other) != await token_of(service)


def link_in(service: Process) -> str:
    """The link that the start prints, once."""
    until(lambda: LINK.search(service.output) is not None)
    (link,) = LINK.findall(service.output)
    return str(link)


@pytest.mark.slow
def test_start_prints_the_setup_link_until_there_is_an_administrator(tmp_path: Path, server: Valkey) -> None:
    settings = {"redis_url": server.url, "port": "0"}
    for _ in range(2):  # also where one start follows close on another
        with process(tmp_path, **settings, log_file=str(tmp_path / "log")) as service:
            first = link_in(service)
            assert first.startswith(service.url())
            assert httpx.get(first, timeout=PATIENCE).status_code == 200
    with process(tmp_path, "--workers", "2", **settings) as service:
        url = service.url()
        workers: set[str] = set()

        def both_answer() -> bool:
            workers.add(httpx.get(f"{url}/live", timeout=PATIENCE).headers["x-request-id"][:10])
            return len(workers) == 2

        until(both_answer)
        link = link_in(service)
        assert link.partition("?")[2] == first.partition("?")[2]
        with httpx.Client(timeout=PATIENCE) as browser:
            assert browser.get(link).status_code == 200
            token = link.partition("token=")[2]
            form = {"token": token, "username": "alice", "password": PASSWORD}
            assert browser.post(f"{url}/setup", data=form).status_code == 303
            assert browser.get(f"{url}/admin/users").status_code == 200
        service.end()
        assert len(LINK.findall(service.output)) == 1
    log = (tmp_path / "log").read_text()
    assert "access" in log
    assert token not in log
    with process(tmp_path, **settings) as service:
        service.url()
        service.end()
        assert "/setup" not in service.output


async def test_setup_link_is_printed_once_redis_answers(
    start: Start, short_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with valkey(short_folder / "late") as late:
        late.stop()
        async with start(redis_url=late.url, redis_timeout=0.2) as service:
            assert (await service.client.get("/setup")).status_code == 503
            late.start()
            shown = ""

            async def printed() -> bool:
                nonlocal shown
                shown += capfd.readouterr().err
                return LINK_WITHOUT_PORT.search(shown) is not None

            await eventually(printed)


async def test_setup_link_is_invalid_with_an_administrator(service: Running, client: httpx.AsyncClient) -> None:
    token = await token_of(service)
    await make_cast(service)
    assert (await client.get(f"/setup?token={token}")).status_code == 404
