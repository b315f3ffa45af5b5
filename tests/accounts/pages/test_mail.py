"""E-mail: a forgotten password, verified addresses, notices, invitations. The mail server is a fake on a socket."""

import re
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.settings import Settings
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, message, status
from tests.fakes.smtp import SmtpFake, smtp_fake
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import eventually

NEW = "seven quiet ferries"
ADDRESS = "bob@example.com"
PUBLIC = "http://tallygate.test"


@pytest.fixture
async def server_fake() -> AsyncIterator[SmtpFake]:
    async with smtp_fake() as fake:
        yield fake


def mail_settings(url: str) -> dict[str, Any]:
    sender = {"mail_from": "Tallygate <sign-in@example.com>", "public_url": PUBLIC}
    return {"smtp_url": url, "smtp_timeout": PATIENCE, **sender}


@pytest.fixture
async def service(start: Start, server_fake: SmtpFake) -> AsyncIterator[Running]:
    async with start(**mail_settings(server_fake.url)) as service:
        yield service


@pytest.fixture
async def bob_with_address(service: Running, cast: Cast) -> None:
    await service.state["users"].set_email(cast.bob.id, ADDRESS, verified=True)


async def settled(service: Running) -> None:
    """Waits until no mail is waiting."""

    async def empty() -> bool:
        return not await service.state["store"].idempotent("HLEN", "{mail}:jobs")

    await eventually(empty)


async def until_mails(fake: SmtpFake, number: int) -> EmailMessage:
    async def come() -> bool:
        return len(fake.mails) >= number

    await eventually(come)
    assert len(fake.mails) == number
    return fake.mails[-1]


def link_in(mail: EmailMessage) -> str:
    """The path and query of the mail's link."""
    found = re.search(r"http\S+", mail.get_content())
    assert found
    assert found[0].startswith(PUBLIC)
    link = urlsplit(found[0])
    return f"{link.path}?{link.query}"


async def forgotten(service: Running, login: str, **headers: str) -> httpx.Response:
    return await service.another_client().post("/forgot-password", data={"login": login}, headers=headers)


async def mailed_link(service: Running, fake: SmtpFake) -> str:
    before = len(fake.mails)
    await forgotten(service, ADDRESS)
    return link_in(await until_mails(fake, before + 1))


async def use(service: Running, link: str) -> int:
    token = link.partition("token=")[2]
    data = {"token": token, "password": NEW}
    return (await service.another_client().post("/reset", data=data)).status_code


@pytest.mark.usefixtures("bob_with_address")
@pytest.mark.parametrize("login", ["bob", "BOB@example.com"])
async def test_a_link_comes_to_the_verified_address_and_works_once(
    service: Running, server_fake: SmtpFake, login: str
) -> None:
    bob = await signed_in(service, "bob")
    assert "/forgot-password" in (await service.another_client().get("/sign-in")).text
    assert "/forgot-password" in (await service.another_client().get("/forgot-password")).text
    answer = await forgotten(service, login, Host="evil.example")
    assert answer.headers["location"] == "/forgot-password?sent"
    page = await service.another_client().get("/forgot-password?sent")
    assert "If there is such an account" in str(message(page))
    mail = await until_mails(server_fake, 1)
    assert mail["To"] == ADDRESS
    assert "evil" not in mail.get_content()
    link = link_in(mail)
    assert (await service.another_client().get(link)).status_code == 200
    assert [await use(service, link), await use(service, link)] == [303, 404]
    assert await status(bob) == 401
    await signed_in(service, "bob", NEW)
    notice = await until_mails(server_fake, 2)
    assert "password was set anew" in notice.get_content()
    entries = (await service.state["audit"].page()).entries
    assert ("reset_link_created", "e-mail") in {(each.event, each.detail) for each in entries}


async def test_nobody_else_gets_a_mail_and_the_answer_is_the_same(
    service: Running, server_fake: SmtpFake, cast: Cast
) -> None:
    await service.state["users"].set_email(cast.bob.id, ADDRESS, verified=False)
    await service.state["users"].set_email(cast.charlie.id, "charlie@example.com", verified=True)
    await service.state["accounts"].set_disabled(cast.charlie.id, True)
    for login in ("bob", ADDRESS, "charlie", "charlie@example.com", "alice", "nobody", "nobody@example.com"):
        answer = await forgotten(service, login)
        assert (answer.status_code, answer.headers["location"]) == (303, "/forgot-password?sent")
    await settled(service)
    assert server_fake.mails == []


@pytest.mark.parametrize(
    "login",
    [
        "", "a@b, c@d", "bob@example.com\r\nBcc: eve@example.com", "bob@example.com\n", "böb@example.com",
        "a" * 250 + "@b.example", "x" * 300, "bob\x00", "<bob@example.com>", "@", "bob@",
    ],
)  # fmt: skip
async def test_text_that_is_neither_name_nor_address_is_refused(service: Running, login: str) -> None:
    page = await forgotten(service, login)
    assert page.status_code == 400
    assert error_at(page, "login")
    refused = await service.client.post("/api/password-reset", json={"login": login})
    assert (refused.status_code, refused.json()["field"]) == (400, "login")


@pytest.mark.usefixtures("bob_with_address")
async def test_a_link_dies_late_after_another_password_and_another_address(
    service: Running, server_fake: SmtpFake, cast: Cast, clock: Clock
) -> None:
    late = await mailed_link(service, server_fake)
    clock.move(3601)
    assert await use(service, late) == 404
    moved = await mailed_link(service, server_fake)
    await service.state["users"].set_email(cast.bob.id, "other@example.com", verified=True)
    assert await use(service, moved) == 404
    await service.state["users"].set_email(cast.bob.id, ADDRESS, verified=True)
    outdated = await mailed_link(service, server_fake)
    bob = await signed_in(service, "bob")
    changed = await bob.post("/account/password", data={"current": PASSWORD, "new": NEW})
    assert changed.status_code == 303
    assert await use(service, outdated) == 404


@pytest.mark.usefixtures("cast")
async def test_ten_requests_an_hour_for_an_address(service: Running) -> None:
    for _ in range(10):
        assert (await service.client.post("/api/password-reset", json={"login": "a@example.com"})).status_code == 202
    assert (await forgotten(service, "A@example.com")).status_code == 429
    assert (await forgotten(service, "b@example.com")).status_code == 303


@pytest.mark.usefixtures("bob_with_address")
async def test_a_server_that_is_away_delays_the_mail(
    service: Running, server_fake: SmtpFake, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    server_fake.answers["EHLO"] = server_fake.answers["HELO"] = "421 4.3.2 not now"
    assert (await forgotten(service, "bob")).status_code == 303
    queue = service.state["mail"]

    async def failed() -> bool:
        return bool(queue.failed)

    await eventually(failed)
    server_fake.answers.clear()

    async def come() -> bool:
        clock.move(61)  # past the next attempt, and past the lease of the first
        return len(server_fake.mails) == 1

    await eventually(come)
    await settled(service)
    logged = "".join(capsys.readouterr())
    assert logged.count("the mail server does not take mails") == 1
    assert "not now" in logged
    assert link_in(server_fake.mails[0]).partition("token=")[2] not in logged
    assert (queue.sent, queue.given_up) == (1, 0)


@pytest.mark.usefixtures("bob_with_address")
async def test_a_refusal_for_ever_gives_the_mail_up(service: Running, server_fake: SmtpFake) -> None:
    server_fake.answers["RCPT"] = "550 5.1.1 no such user"
    await forgotten(service, "bob")
    await settled(service)
    assert (service.state["mail"].given_up, server_fake.mails) == (1, [])


async def test_a_mail_survives_a_restart(
    start: Start, server_fake: SmtpFake, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    settings = mail_settings("smtp://127.0.0.1:9?starttls=no")
    async with start(**settings) as first:
        cast = await make_cast(first)
        await first.state["users"].set_email(cast.bob.id, ADDRESS, verified=True)
        await forgotten(first, "bob")
        stored = await first.state["store"].idempotent("HVALS", "{mail}:jobs")
        assert b"bob" not in b"".join(stored)
    clock.move(3 * PATIENCE)
    async with start(**mail_settings(server_fake.url)):
        assert (await until_mails(server_fake, 1))["To"] == ADDRESS


async def test_an_address_is_verified_by_its_link_once(
    service: Running, server_fake: SmtpFake, bob: httpx.AsyncClient, cast: Cast, clock: Clock
) -> None:
    saved = await bob.post("/account/profile", data={"display_name": "", "email": ADDRESS}, follow_redirects=True)
    assert "not verified" in saved.text
    first = link_in(await until_mails(server_fake, 1))
    await bob.post("/account/verify-email")
    link = link_in(await until_mails(server_fake, 2))
    stranger = service.another_client()
    assert ADDRESS in (await stranger.get(link)).text
    token = {"token": link.partition("token=")[2]}
    answer = await stranger.post("/verify-email", data=token)
    assert "is verified" in str(message(await stranger.get(answer.headers["location"])))
    assert answer.headers["location"] == "/verify-email/done"
    user = await service.state["accounts"].by_id(cast.bob.id)
    assert user.email_verified
    assert "Your e-mail address is verified." in (await bob.get("/account")).text
    assert (await stranger.post("/verify-email", data=token)).status_code == 404
    assert (await bob.post("/account/verify-email")).status_code == 409
    assert "email_verified" in {each.event for each in (await service.state["audit"].page()).entries}
    await bob.post("/account/profile", data={"display_name": "", "email": "new@example.com"})
    assert (await stranger.get(first)).status_code == 404
    assert "the e-mail address was changed" in "".join(
        each.get_content() for each in [await until_mails(server_fake, 4), *server_fake.mails] if each["To"] == ADDRESS
    )
    clock.move(86_401)
    (newest,) = [each for each in server_fake.mails if each["To"] == "new@example.com"]
    assert (await stranger.get(link_in(newest))).status_code == 404


async def test_an_address_that_another_account_has_verified_is_not_taken_over(
    service: Running, server_fake: SmtpFake, bob: httpx.AsyncClient, cast: Cast
) -> None:
    await bob.post("/account/profile", data={"display_name": "", "email": ADDRESS})
    link = link_in(await until_mails(server_fake, 1))
    await service.state["users"].set_email(cast.charlie.id, ADDRESS, verified=True)
    answer = await bob.post("/verify-email", data={"token": link.partition("token=")[2]})
    assert answer.status_code == 409


@pytest.mark.usefixtures("bob_with_address")
async def test_mails_are_in_the_users_language(service: Running, server_fake: SmtpFake, cast: Cast) -> None:
    await service.state["accounts"].set_locale(cast.bob.id, "zh")
    await forgotten(service, "bob")
    assert "设置新密码" in (await until_mails(server_fake, 1))["Subject"]


async def test_an_invitation_is_sent_to_its_address(start: Start, server_fake: SmtpFake) -> None:
    async with start(registration="invitation", **mail_settings(server_fake.url)) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        page = await alice.post(
            "/admin/invitations", data={"days": "7", "email": "new@example.com", "send": "on"}, follow_redirects=True
        )
        mail = await until_mails(server_fake, 1)
        assert mail["To"] == "new@example.com"
        assert link_in(mail) in page.text
        form = {"username": "newcomer", "password": PASSWORD, "invitation": link_in(mail).partition("invitation=")[2]}
        assert (await service.another_client().post("/sign-up", data=form)).status_code == 303
        assert "/verify-email?" in link_in(await until_mails(server_fake, 2))
        refused = await alice.post("/api/invitations", json={"send": True})
        assert (refused.status_code, refused.json()["field"]) == (400, "email")


async def test_without_a_mail_server_all_is_as_before(start: Start) -> None:
    async with start(smtp_url="smtp://127.0.0.1:9", mail_from="a@example.com") as service:  # no public_url
        await make_cast(service)
        client, alice = service.another_client(), await signed_in(service, "alice")
        assert "/forgot-password" not in (await client.get("/sign-in")).text
        for page in (await client.get("/forgot-password"), await forgotten(service, "bob")):
            assert (page.status_code, "sends no mail" in page.text) == (404, True)
        assert (await client.post("/api/password-reset", json={"login": "bob"})).status_code == 409
        assert (await alice.post("/account/verify-email")).status_code == 409
        refused = await alice.post("/api/invitations", json={"email": "a@example.com", "send": True})
        assert (refused.status_code, refused.json()["field"]) == (400, "send")
        await alice.post("/account/profile", data={"display_name": "", "email": "a@example.com"})
        assert not await service.state["store"].idempotent("HLEN", "{mail}:jobs")
