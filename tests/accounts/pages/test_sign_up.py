"""Signing up: closed, by invitation, or open."""

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest

from app.accounts.passwords.hashing import PasswordHashing
from app.accounts.users.search import UserFilter
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, message, shown_secret, status, value_of
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

NEW = "a lamp beside the harbour"


async def sign_up(client: httpx.AsyncClient, name: str, password: str = NEW, **more: str) -> httpx.Response:
    return await client.post("/sign-up", data={"username": name, "password": password, "next": "/account"} | more)


async def invitation(service: Running, days: str = "7") -> str:
    """The path of an invitation's link, as its page shows it."""
    await make_cast(service)
    alice = await signed_in(service, "alice")
    link = urlsplit(shown_secret(await alice.post("/admin/invitations", data={"days": days}, follow_redirects=True)))
    assert link.path == "/sign-up"
    assert link.netloc == "tallygate.test"
    return f"{link.path}?{link.query}"


def secret_of(link: str) -> str:
    return link.partition("invitation=")[2]


async def test_sign_up_is_closed_by_default(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/sign-up"), await sign_up(client, "dora"), await sign_up(client, "dora")):
        assert answer.status_code == 403
        assert "Sign-up is closed." in answer.text
    assert await status(client) == 401


async def test_invitation_is_refused_if_sign_up_is_closed(start: Start) -> None:
    async with start(registration="invitation") as service:
        link = await invitation(service)
    async with start() as service:
        assert (await service.client.get(link)).status_code == 403
        answer = await sign_up(service.client, "dora", invitation=secret_of(link))
        assert answer.status_code == 403


async def test_open_sign_up_creates_an_account(start: Start) -> None:
    async with start(registration="open") as service:
        client = service.client
        page = await client.get("/sign-up?next=/account")
        assert page.status_code == 200
        assert value_of(page, "next") == "/account"
        assert 'autocomplete="new-password"' in page.text
        answer = await sign_up(client, "Dora")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        user = (await client.get("/api/session")).json()["user"]
        assert (user["name"], user["is_admin"]) == ("Dora", False)
        assert (await client.get("/admin/users")).status_code == 403
        assert await status(await signed_in(service, "dora", NEW)) == 200


async def test_open_sign_up_ignores_bad_invitations(start: Start) -> None:
    async with start(registration="open") as service:
        assert (await sign_up(service.client, "dora", invitation="odd")).status_code == 303


@pytest.mark.parametrize(
    ("name", "password", "field", "reason"),
    [
        ("", NEW, "username", "Please enter a name."),
        ("d o r a", NEW, "username", "A name cannot contain spaces or invisible characters."),
        ("<dora>", NEW, "username", 'A name cannot contain / \\ : , ; < > ".'),
        ("d" * 65, NEW, "username", "A name has at most 64 characters."),
        ("dora", "", "password", "A password has at least 8 characters."),
        ("dora", "x" * 300, "password", "A password has at most 256 characters."),
        ("dora", "password", "password", "Common passwords are not accepted."),
        ("dora", "dora-1990", "password", "Your name is not accepted as a password."),
        ("ALICE", NEW, "username", "This name is taken."),
    ],
)
async def test_mistake_at_sign_up_creates_nothing(
    start: Start, name: str, password: str, field: str, reason: str
) -> None:
    async with start(registration="open") as service:
        await make_cast(service)
        before = (await service.state["user_search"].find(UserFilter())).total
        page = await sign_up(service.client, name, password)
        assert page.status_code == 400
        assert error_at(page, field) == reason
        assert value_of(page, "username") == name
        assert value_of(page, "next") == "/account"
        assert not service.client.cookies
        assert (await service.state["user_search"].find(UserFilter())).total == before


async def test_an_invitation_makes_one_account(start: Start) -> None:
    async with start(registration="invitation") as service:
        link = await invitation(service)
        guest, late = service.another_client(), service.another_client()
        page = await guest.get(link)
        assert page.status_code == 200
        assert value_of(page, "invitation") == secret_of(link)
        assert (await late.get(link)).status_code == 200
        assert (await sign_up(guest, "dora", invitation=secret_of(link))).status_code == 303
        assert await status(guest) == 200
        for answer in (await late.get(link), await sign_up(late, "eve", invitation=secret_of(link))):
            assert answer.status_code == 403
            assert "Sign-up needs a valid invitation." in answer.text
        assert await status(late) == 401


async def test_mistake_does_not_use_up_the_invitation(start: Start) -> None:
    async with start(registration="invitation") as service:
        secret = secret_of(await invitation(service))
        assert (await sign_up(service.client, "alice", invitation=secret)).status_code == 400
        page = await sign_up(service.client, "dora", "password", invitation=secret)
        assert page.status_code == 400
        assert value_of(page, "invitation") == secret
        assert (await sign_up(service.client, "dora", invitation=secret)).status_code == 303


async def test_an_invitation_ends(start: Start, clock: Clock) -> None:
    async with start(registration="invitation") as service:
        link = await invitation(service, days="1")
        clock.move(86_399)
        assert (await service.client.get(link)).status_code == 200
        clock.move(1)
        assert (await service.client.get(link)).status_code == 403
        assert (await sign_up(service.client, "dora", invitation=secret_of(link))).status_code == 403


@pytest.mark.parametrize(
    "link", ["/sign-up", "/sign-up?invitation=", "/sign-up?invitation=%00", f"/sign-up?invitation={'x' * 43}"]
)
async def test_sign_up_by_invitation_needs_a_valid_one(start: Start, link: str) -> None:
    async with start(registration="invitation") as service:
        assert (await service.client.get(link)).status_code == 403
        assert (await sign_up(service.client, "dora", invitation=secret_of(link))).status_code == 403


async def test_concurrent_sign_ups_use_the_invitation_once(start: Start) -> None:
    async with start(registration="invitation") as service, start(registration="invitation") as elsewhere:
        secret = secret_of(await invitation(service))
        guests = [one.another_client() for one in (service, elsewhere) * 2]
        answers = await asyncio.gather(
            *(sign_up(guest, f"dora{number}", invitation=secret) for number, guest in enumerate(guests))
        )
        assert Counter(answer.status_code for answer in answers) == {303: 1, 403: 3}
        assert sorted([await status(guest) for guest in guests]) == [200, 401, 401, 401]
        assert (await service.state["user_search"].find(UserFilter("dora"))).total == 1


async def test_concurrent_sign_ups_for_one_name_create_one(start: Start) -> None:
    async with start(registration="open") as service, start(registration="open") as elsewhere:
        guests = [one.another_client() for one in (service, elsewhere) * 2]
        names = ["dora", "Dora", "DORA", "ｄｏｒａ"]
        answers = await asyncio.gather(*map(sign_up, guests, names))
        assert Counter(answer.status_code for answer in answers) == {303: 1, 400: 3}
        told = [error_at(answer, "username") for answer in answers if answer.status_code == 400]
        assert told == ["This name is taken."] * 3
        assert sorted([await status(guest) for guest in guests]) == [200, 401, 401, 401]


async def test_sign_up_is_limited_to_ten_an_hour(start: Start) -> None:
    async with start(registration="open") as service:
        for number in range(10):
            assert (await sign_up(service.another_client(), f"dora{number}")).status_code == 303
        answer = await sign_up(service.client, "one-more")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 360
        elsewhere = service.another_client(client=("198.51.100.1", 50000))
        assert (await sign_up(elsewhere, "one-more")).status_code == 303


async def test_name_probing_with_one_invitation_is_limited(start: Start) -> None:
    async with start(registration="invitation") as service:
        secret = secret_of(await invitation(service))
        answers = []
        for number in range(21):
            asking = service.another_client(client=(f"198.51.100.{number}", 50000))
            answers.append((await sign_up(asking, "alice", invitation=secret)).status_code)
        assert answers == [400] * 20 + [429]


async def test_full_hashing_queue_postpones_sign_ups(start: Start) -> None:
    async with start(registration="invitation") as service:
        secret = secret_of(await invitation(service))
        service.state["passwords"] = PasswordHashing(threads=1, waiting=-1)
        answer = await sign_up(service.client, "dora", invitation=secret)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        service.state["passwords"] = PasswordHashing(threads=1, memory=8, rounds=1)
        assert (await sign_up(service.client, "dora", invitation=secret)).status_code == 303


async def test_sign_up_redirects_within_this_site(start: Start) -> None:
    async with start(registration="open") as service:
        answer = await service.client.post(
            "/sign-up", data={"username": "dora", "password": NEW, "next": "//evil.example"}
        )
        assert answer.headers["location"] == "/"


async def test_sign_up_ends_the_former_session(start: Start) -> None:
    async with start(registration="open") as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        assert (await sign_up(bob, "dora")).status_code == 303
        assert (await bob.get("/api/session")).json()["user"]["name"] == "dora"
        user = await service.state["accounts"].by_name("bob")
        assert not await service.state["sessions"].of_user(user.id)
        assert message(await bob.get("/")) is None


async def test_password_hash_as_password_is_refused(start: Start) -> None:
    """A password is what is hashed, not its hash: nobody is in who knows the hash only."""
    async with start(registration="open") as service:
        await make_cast(service)
        stored = await service.state["accounts"].password_hash((await service.state["accounts"].by_name("bob")).id)
        answer = await service.client.post("/sign-in", data={"username": "bob", "password": stored})
        assert answer.status_code == 401
        assert PASSWORD not in answer.text
