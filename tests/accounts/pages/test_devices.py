"""Where a user is signed in: each device, and the end of any or all."""

import re

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import message, rows, same_browser, status, until_thrown_out
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"
LAPTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def device(service: Running, agent: str, address: str = "192.0.2.1", name: str = "bob") -> httpx.AsyncClient:
    return await signed_in(service, name, headers={"User-Agent": agent}, client=(address, 50000))


def keys_on(page: httpx.Response) -> list[str]:
    """What ends each session on the page but this one."""
    return re.findall(r'end\?key=([^"]+)"', page.text)


async def test_devices_show_time_address_and_browser(bob: httpx.AsyncClient, service: Running, clock: Clock) -> None:
    await device(service, PHONE, "2001:db8::7")
    clock.move(120)
    laptop = await device(service, LAPTOP, "198.51.100.4")
    page = await laptop.get("/account/devices")
    assert page.status_code == 200
    shown = rows(page)
    assert len(shown) == 3
    assert shown[0].startswith("Firefox on Linux")
    assert "198.51.100.4" in shown[0]
    assert shown[0].endswith("This device")
    (phone,) = [row for row in shown if "Safari on iPhone" in row]
    assert "2001:db8::7" in phone
    assert "with the password" in phone
    assert [row.endswith("This device") for row in shown].count(True) == 1
    assert page.text.count("<time datetime=") == 6
    assert len(keys_on(page)) == 2


async def test_ended_device_is_signed_out_on_every_worker(
    bob: httpx.AsyncClient, service: Running, elsewhere: Running
) -> None:
    phone = await device(elsewhere, PHONE)
    laptop = await device(elsewhere, LAPTOP)
    page = await bob.get("/account/devices")
    key = re.search(r'end\?key=([^"]+)" aria-label="End: Safari on iPhone', page.text)
    assert key is not None
    question = await bob.get("/account/devices/end", params={"key": key[1]})
    assert "<dd>Safari on iPhone</dd>" in question.text
    assert (await bob.get("/account/devices/end?key=x")).status_code == 404
    answer = await bob.post("/account/devices/end", data={"key": key[1]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/devices")
    await until_thrown_out(phone)
    assert await status(same_browser(phone, service)) == 401
    assert [await status(laptop), await status(bob)] == [200, 200]
    assert message(await bob.get("/account/devices")) == "The session has been ended."
    assert len(rows(await bob.get("/account/devices"))) == 2


async def test_all_other_sessions_are_ended(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    others = [await device(elsewhere, agent) for agent in (PHONE, LAPTOP, "")]
    assert "End all other sessions" in (await bob.get("/account/devices")).text
    answer = await bob.post("/account/devices/end-others")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/devices")
    for other in others:
        await until_thrown_out(other)
    page = await bob.get("/account/devices")
    assert message(page) == "All other sessions have been ended."
    assert len(rows(page)) == 1
    assert "End all other sessions" not in page.text
    assert (await bob.post("/account/devices/end-others")).status_code == 303
    assert await status(bob) == 200


async def test_ending_this_one_signs_out(bob: httpx.AsyncClient) -> None:
    (own,) = (await bob.get("/api/account/sessions")).json()
    answer = await bob.post("/account/devices/end", data={"key": own["id"]})
    assert answer.status_code == 303
    answer = await bob.get("/account/devices")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/account/devices")


async def test_session_of_another_user_cannot_be_ended(bob: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    (own,) = (await alice.get("/api/account/sessions")).json()
    assert (await bob.post("/account/devices/end", data={"key": own["id"]})).status_code == 404
    assert (await bob.delete(f"/api/account/sessions/{own['id']}")).status_code == 404
    await bob.post("/account/devices/end-others")
    assert await status(alice) == 200
    assert "alice" not in (await bob.get("/account/devices")).text


@pytest.mark.parametrize("key", ["", "nothing", "\x00", "é", "*", "x" * 2048])
async def test_malformed_session_id_is_not_found(bob: httpx.AsyncClient, key: str) -> None:
    assert (await bob.post("/account/devices/end", data={"key": key})).status_code == 404
    assert await status(bob) == 200


async def test_sessions_that_have_ended_by_themselves_are_not_shown(
    bob: httpx.AsyncClient, service: Running, clock: Clock
) -> None:
    await device(service, PHONE)
    clock.move(10 * 86_400)
    assert await status(bob) == 200
    clock.move(5 * 86_400)
    assert len(rows(await bob.get("/account/devices"))) == 1


async def test_sessions_in_cookies_cannot_be_listed_and_the_page_says_so(start: Start) -> None:
    async with start(session_store="cookie") as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        page = await bob.get("/account/devices")
        assert page.status_code == 200
        assert "sessions cannot be listed" in page.text
        assert not rows(page)
        assert (await bob.post("/account/devices/end", data={"key": ""})).status_code == 404
        assert (await bob.post("/account/devices/end-others")).status_code == 303
        assert await status(bob) == 200


async def test_user_agents_are_escaped(service: Running, bob: httpx.AsyncClient) -> None:
    await device(service, "<script>alert(1)</script> Chrome")
    page = await bob.get("/account/devices")
    assert "<script>" not in page.text.partition("<main")[2]
    assert any(row.startswith("Chrome") for row in rows(page))
    assert any(row.startswith(("Unknown device", "Python")) for row in rows(page))
