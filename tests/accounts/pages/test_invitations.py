"""The open invitations: administrators see them, and withdraw what was sent to the wrong person."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, message, rows, shown_secret, value_of
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

DAY = 86_400


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Running]:
    async with start(registration="invitation") as service:
        yield service


async def invite(alice: httpx.AsyncClient, days: int = 30) -> str:
    """The secret of a new invitation, as its page shows it."""
    page = await alice.post("/admin/invitations", data={"days": str(days)}, follow_redirects=True)
    (secret,) = parse_qs(urlsplit(shown_secret(page)).query)["invitation"]
    return secret


async def sign_up(service: Running, name: str, secret: str) -> int:
    form = {"username": name, "password": "a lamp beside the harbour", "invitation": secret}
    return (await service.another_client().post("/sign-up", data=form)).status_code


def listed(page: httpx.Response) -> list[str]:
    """The paths that withdraw, in the order of the list."""
    return re.findall(r'href="(/admin/invitations/[0-9a-f]{64}/withdraw)\?next=', page.text)


async def only(alice: httpx.AsyncClient) -> str:
    (path,) = listed(await alice.get("/admin/invitations"))
    return path


async def test_withdrawn_invitation_does_not_sign_up(alice: httpx.AsyncClient, service: Running) -> None:
    wrong = await invite(alice)
    path = await only(alice)
    right = await invite(alice)
    answer = await alice.post(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/invitations")
    page = await alice.get("/admin/invitations")
    assert message(page) == "The invitation has been withdrawn."
    assert path not in listed(page)
    assert (await service.another_client().get(f"/sign-up?invitation={wrong}")).status_code == 403
    assert await sign_up(service, "mallory", wrong) == 403
    assert await sign_up(service, "dora", right) == 303


async def test_invitations_are_listed_by_expiry(
    alice: httpx.AsyncClient, service: Running, cast: Cast, clock: Clock
) -> None:
    assert "Open invitations" not in (await alice.get("/admin/invitations")).text
    await invite(alice, days=30)
    await service.state["accounts"].set_admin(cast.bob.id, True)
    clock.move(DAY)
    await invite(await signed_in(service, "bob"), days=7)
    text = (await alice.get("/admin/invitations")).text.partition("Open invitations")[2]
    by = re.findall(r'data-label="Invited by">\s*<span>\s*(\w+)', text)
    times = re.findall(r'data-label="(Created|Expires)"><time datetime="([^"]+)"', text)
    assert by == ["bob", "alice"]
    assert [label for label, _ in times] == ["Created", "Expires"] * 2
    later, earlier = times[0][1], times[2][1]
    assert earlier < later < times[1][1] < times[3][1]
    assert "You" in text.partition("alice")[2]


async def test_question_about_an_invitation_changes_nothing(alice: httpx.AsyncClient, service: Running) -> None:
    secret = await invite(alice)
    path = await only(alice)
    page = await alice.get(path, params={"next": "/admin/users?q=b"})
    assert page.status_code == 200
    assert '<h1 class="name">Withdraw this invitation?</h1>' in page.text
    assert '<dd class="name">alice</dd>' in page.text
    assert f'method="post" action="{path}">' in page.text
    assert '<a class="button secondary" href="/admin/users?q=b">Cancel</a>' in page.text
    assert await sign_up(service, "dora", secret) == 303


async def test_invitation_secret_is_not_shown_again(alice: httpx.AsyncClient) -> None:
    secret = await invite(alice)
    for path in ("/admin/invitations", await only(alice), "/admin/audit"):
        assert secret not in (await alice.get(path)).text


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
async def test_answers_stay_on_this_site(alice: httpx.AsyncClient, target: str) -> None:
    await invite(alice)
    path = await only(alice)
    assert "evil.example" not in (await alice.get(path, params={"next": target})).text
    answer = await alice.post(path, data={"next": target})
    assert answer.headers["location"] == "/admin/invitations"


async def test_withdrawing_needs_an_administrator(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, client: httpx.AsyncClient, service: Running
) -> None:
    secret = await invite(alice)
    path = await only(alice)
    for answer in (await bob.get(path), await bob.post(path)):
        assert answer.status_code == 403
    assert (await client.get(path)).headers["location"] == f"/sign-in?next={path}"
    assert (await client.post(path)).headers["location"] == "/sign-in"
    assert await sign_up(service, "dora", secret) == 303


async def test_used_withdrawn_and_expired_invitations_are_not_listed(
    alice: httpx.AsyncClient, service: Running, clock: Clock
) -> None:
    gone = []
    secret = await invite(alice)
    gone.append(await only(alice))
    assert await sign_up(service, "dora", secret) == 303
    await invite(alice)
    gone.append(await only(alice))
    assert (await alice.post(gone[-1])).status_code == 303
    await invite(alice, days=1)
    gone.append(await only(alice))
    clock.move(DAY)
    alice = await signed_in(service, "alice")
    for path in gone:
        assert (await alice.get(path)).status_code == 404
        assert (await alice.post(path)).status_code == 404
    assert [row.split()[1] for row in rows(await alice.get("/admin/audit"))].count("withdrawn") == 1


@pytest.mark.parametrize("odd", ["nobody", "%00", "%ff", "0" * 64, "x" * 3000])
async def test_unknown_invitation_is_not_found(alice: httpx.AsyncClient, odd: str) -> None:
    assert (await alice.get(f"/admin/invitations/{odd}/withdraw")).status_code == 404
    assert (await alice.post(f"/admin/invitations/{odd}/withdraw")).status_code == 404


async def test_concurrent_withdrawals_succeed_once(alice: httpx.AsyncClient) -> None:
    await invite(alice)
    path = await only(alice)
    answers = await asyncio.gather(alice.post(path), alice.post(path))
    assert sorted(answer.status_code for answer in answers) == [303, 404]


async def test_withdrawn_invitation_is_audited(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    await service.state["accounts"].set_admin(cast.bob.id, True)
    await invite(await signed_in(service, "bob"))
    await alice.post(await only(alice))
    assert rows(await alice.get("/admin/audit"))[0].startswith("Invitation withdrawn bob by alice ")


async def test_first_hundred_invitations_are_shown(alice: httpx.AsyncClient, service: Running) -> None:
    invitations = service.state["invitations"]
    await asyncio.gather(*(invitations.create("somebody", DAY + number) for number in range(99)))
    page = await alice.get("/admin/invitations")
    assert len(listed(page)) == 99
    assert "No more than" not in page.text
    await asyncio.gather(*(invitations.create("somebody", 2 * DAY + number) for number in range(20)))
    more = await alice.get("/admin/invitations")
    assert len(listed(more)) == 100
    assert listed(more)[:99] == listed(page)
    assert "At most 100 are shown, next to expire first." in more.text


async def test_they_are_withdrawn_where_signing_up_is_closed_meanwhile(start: Start, clock: Clock) -> None:
    async with start(registration="invitation") as service:
        await make_cast(service)
        secret = await invite(await signed_in(service, "alice"))
    async with start(registration="closed") as service:
        alice = await signed_in(service, "alice")
        assert (await alice.post(await only(alice))).status_code == 303
    async with start(registration="invitation") as service:
        assert await sign_up(service, "mallory", secret) == 403


async def test_an_invitation_gives_its_address_role_and_groups(alice: httpx.AsyncClient, service: Running) -> None:
    form = {
        "days": "7",
        "email": "dora@example.com",
        "note": "for  the <harbour>",
        "role": "admin",
        "groups": "ops, sea",
    }
    page = await alice.post("/admin/invitations", data=form, follow_redirects=True)
    link = shown_secret(page)
    (shown,) = rows(page)
    assert shown.startswith("dora@example.com Administrator ops sea for the <harbour> alice")
    assert await sign_up(service, "dora", link.partition("invitation=")[2]) == 303
    dora = await service.state["accounts"].by_name("dora")
    assert (dora.email, dora.email_verified, dora.is_admin, dora.groups) == (
        "dora@example.com", False, True, ("ops", "sea"),
    )  # fmt: skip
    assert await service.state["users"].members("sea") == [dora.id]
    assert "dora@example.com" in (await alice.get("/admin/audit?event=invited")).text


@pytest.mark.parametrize(("field", "value"), [("email", "no address"), ("groups", "a/b"), ("note", "x" * 300)])
async def test_a_bad_field_of_an_invitation_is_named_and_the_others_stay(
    alice: httpx.AsyncClient, field: str, value: str
) -> None:
    fields = {"days": "30", "email": "dora@example.com", "note": "kept", "groups": "ops"} | {field: value}
    page = await alice.post("/admin/invitations", data=fields)
    assert page.status_code == 400
    assert error_at(page, field)
    assert {name: value_of(page, name) for name in ("email", "note", "groups")} == {
        name: fields[name] for name in ("email", "note", "groups")
    }
    assert not listed(await alice.get("/admin/invitations"))


async def test_invitations_by_the_api(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    body = {"days": 3, "email": "dora@example.com", "is_admin": False, "groups": ["ops"]}
    made = await alice.post("/api/invitations", json=body)
    assert made.status_code == 201
    invitation = made.json()
    url = invitation.pop("url")
    assert (invitation["by"], invitation["groups"]) == (cast.alice.id, ["ops"])
    assert (await alice.get("/api/invitations")).json() == [invitation]
    assert (await alice.delete(f"/api/invitations/{invitation['id']}")).status_code == 204
    assert (await alice.delete(f"/api/invitations/{invitation['id']}")).status_code == 404
    assert await sign_up(service, "dora", url.partition("invitation=")[2]) == 403
    for wrong, field in (({"days": 0}, "days"), ({"email": "x"}, "email"), ({"surprise": 1}, "surprise")):
        answer = await alice.post("/api/invitations", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
