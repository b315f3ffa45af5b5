"""E-mail on the command line: check-config and send-test-mail."""

import asyncio
from pathlib import Path

import pytest

from app.cli.main import main
from tests.fakes.smtp import smtp_fake

SECRET = "never-in-a-log"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def arguments(port: object = 9, **changes: str) -> list[str]:
    settings = {
        "smtp_url": f"smtp://ann:{SECRET}@127.0.0.1:{port}?starttls=no",
        "mail_from": "sign-in@example.com",
        "public_url": "https://example.com",
    } | changes
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if value]


async def test_a_test_mail_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    async with smtp_fake() as fake:
        code = await asyncio.to_thread(main, ["send-test-mail", "bob@example.com", *arguments(fake.port)])
        assert (code, [each["To"] for each in fake.mails]) == (0, ["bob@example.com"])
        fake.answers["AUTH"] = "535 5.7.8 wrong"
        assert await asyncio.to_thread(main, ["send-test-mail", "bob@example.com", *arguments(fake.port)]) == 2
    printed = "".join(capsys.readouterr())
    assert "535 5.7.8 wrong" in printed
    assert SECRET not in printed


@pytest.mark.parametrize(
    ("address", "changes", "told"),
    [
        ("a@b, c@d", {}, "ADDRESS"),
        ("a@b\nBcc: c@d", {}, "ADDRESS"),
        ("bob@example.com", {"public_url": ""}, "public_url"),
        ("bob@example.com", {"mail_from": ""}, "mail_from"),
        ("bob@example.com", {"smtp_url": ""}, "smtp_url"),
        ("bob@example.com", {"smtp_url": f"smtp://ann:{SECRET}@mail:99999"}, "smtp_url"),
        ("bob@example.com", {}, "was not sent"),
    ],
)
def test_mail_error_is_printed(
    address: str, changes: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send-test-mail", address, *arguments(9, **changes)]) == 2
    printed = "".join(capsys.readouterr())
    assert told in printed
    assert SECRET not in printed


def test_check_config_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", *arguments(public_url="", mail_from="")]) == 2
    printed = capsys.readouterr().err
    assert "public_url: must be set" in printed
    assert "mail_from: must be set" in printed
    assert main(["check-config", *arguments()]) == 0
