"""One mail by SMTP, to a server on a socket."""

import ssl
from pathlib import Path

import pytest

from app.mail.models import Mail
from app.mail.smtp import MailError, send
from app.settings import Settings
from tests.fakes.smtp import SmtpFake, smtp_fake

MAIL = Mail("bob@example.com", "你好 Bob", "Ein Link:\n\nhttps://example.com/" + "x" * 200 + "\n")
PASSWORD = "never-in-a-log"


def settings(url: str, **more: object) -> Settings:
    return Settings.model_validate(
        {"smtp_url": url, "mail_from": "Example <sign-in@example.com>", "public_url": "https://example.com"} | more
    )


async def failure(fake: SmtpFake, **more: object) -> MailError:
    with pytest.raises(MailError) as failed:
        await send(settings(fake.url, **more), MAIL)
    return failed.value


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with smtp_fake() as fake:
        await send(settings(fake.url), MAIL)
    (mail,) = fake.mails
    assert (mail["To"], mail["From"], mail["Subject"]) == (MAIL.to, "Example <sign-in@example.com>", MAIL.subject)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().replace("\r\n", "\n") == MAIL.text


@pytest.mark.parametrize(
    ("command", "answer", "final"),
    [
        ("RCPT", "450 4.2.1 mailbox busy", False),
        ("RCPT", "550 5.1.1 no such user", True),
        ("MAIL", "451 4.3.0 later", False),
        ("END", "552 5.3.4 too big", True),
        ("END", "421 4.3.2 closing", False),
    ],
)
async def test_a_refusal_is_told_and_only_5xx_is_final(command: str, answer: str, final: bool) -> None:
    async with smtp_fake() as fake:
        fake.answers[command] = answer
        error = await failure(fake)
    assert answer in str(error)
    assert error.final == final


async def test_a_wrong_password_is_not_final_and_not_told() -> None:
    async with smtp_fake() as fake:
        fake.answers["AUTH"] = "535 5.7.8 wrong"
        url = f"smtp://ann:{PASSWORD}@127.0.0.1:{fake.port}?starttls=no"
        with pytest.raises(MailError, match="535") as failed:
            await send(settings(url), MAIL)
    assert not failed.value.final
    assert PASSWORD not in str(failed.value)


async def test_a_silent_server_and_none_at_all() -> None:
    async with smtp_fake() as fake:
        fake.silent = True
        assert "no answer in 0.2 s" in str(await failure(fake, smtp_timeout=0.2))
    assert not (await failure(fake)).final


async def test_smtps_is_encrypted_from_the_start_and_the_certificate_checked(authority: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    async with smtp_fake(tls=server) as fake:
        own = {"oauth_ca_file": authority / "ca.pem"}
        await send(settings(f"smtps://ann:{PASSWORD}@localhost:{fake.port}", **own), MAIL)
        assert len(fake.mails) == 1
        assert not [each for each in fake.commands if "STARTTLS" in each]
        for wrong in (settings(f"smtps://localhost:{fake.port}"), settings(f"smtps://127.0.0.1:{fake.port}", **own)):
            with pytest.raises(MailError, match="certificate"):
                await send(wrong, MAIL)
    async with smtp_fake() as plain:
        with pytest.raises(MailError):
            await send(settings(f"smtps://ann:{PASSWORD}@localhost:{plain.port}"), MAIL)
        assert not [each for each in plain.commands if "AUTH" in each]


async def test_starttls_is_demanded_and_the_certificate_checked(authority: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    async with smtp_fake(server) as fake:
        url = f"smtp://ann:{PASSWORD}@localhost:{fake.port}"
        await send(settings(url, oauth_ca_file=authority / "ca.pem"), MAIL)
        assert len(fake.mails) == 1
        with pytest.raises(MailError):
            await send(settings(url), MAIL)
    async with smtp_fake() as plain:
        with pytest.raises(MailError, match="STARTTLS"):
            await send(settings(f"smtp://ann:{PASSWORD}@127.0.0.1:{plain.port}"), MAIL)
        assert not [each for each in plain.commands if "AUTH" in each]


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com", "smtp://", "smtp://a b", "smtp://mail.example.com:99999", "smtp://mail/path",
        "smtp://mail.example.com:0", "smtp://:secret@mail.example.com", "smtps://mail?starttls=no", "mail.example.com",
        "smtp://mail.example.com?tls=no",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="smtp_url") as refused:
        settings(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("sender", ["no address", "a@b, c@d", "a@b.example\nBcc: c@d", "Ann <a@b", "<>", "Ann"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="mail_from"):
        settings("smtp://mail", mail_from=sender)


def test_the_password_may_stand_alone_and_is_shown_nowhere() -> None:
    found = settings("smtp://ann@mail", smtp_password=PASSWORD)
    assert found.smtp_server is not None
    assert (found.smtp_server.user, found.smtp_server.password, found.smtp_server.port) == ("ann", PASSWORD, 587)
    assert PASSWORD not in repr(found) + repr(found.smtp_server)
