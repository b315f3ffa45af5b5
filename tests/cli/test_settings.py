"""Where the value of a setting comes from."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.cli.main import main
from app.config_service.models import Item
from app.config_service.own_settings import empty_namespace
from app.settings import DEVELOPMENT_KEY, Settings, SettingsError, load_settings
from app.settings.docs import settings_manual
from app.store import keys
from app.store.encryption import Encryption
from tests.helpers.service import ROOT
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

SOURCES = ["command line", "environment", ".env", "file of a secret", "TOML", "default"]


@pytest.mark.parametrize("first", range(len(SOURCES)), ids=SOURCES)
def test_the_first_source_that_has_a_value_wins(first: int, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = SOURCES[first:]
    if "environment" in present:
        monkeypatch.setenv("TALLYGATE_HOST", "environment")
    if ".env" in present:
        (bare / ".env").write_text("TALLYGATE_HOST=.env\nOF_ANOTHER_PROGRAM=1\n")
    if "file of a secret" in present:
        (bare / "secret").write_text("file of a secret\n")
        monkeypatch.setenv("TALLYGATE_HOST_FILE", str(bare / "secret"))
    if "TOML" in present:
        (bare / "server.toml").write_text('host = "TOML"\n')
        monkeypatch.setenv("TALLYGATE_CONFIG", "server.toml")
    arguments = {"host": "command line"} if "command line" in present else {}
    expected = "127.0.0.1" if SOURCES[first] == "default" else SOURCES[first]
    assert load_settings(arguments).host == expected


def test_config_on_the_command_line_beats_the_one_in_the_environment(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "one.toml").write_text("port = 1")
    (bare / "two.toml").write_text("port = 2")
    monkeypatch.setenv("TALLYGATE_CONFIG", "two.toml")
    assert load_settings().port == 2
    assert load_settings(config="one.toml").port == 1


def test_config_file_may_be_named_in_dotenv(bare: Path) -> None:
    (bare / "server.toml").write_text("port = 1")
    (bare / ".env").write_text("TALLYGATE_CONFIG=server.toml")
    assert load_settings().port == 1


def test_a_list_is_separated_by_commas_or_a_list_in_toml(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "server.toml").write_text('allowed_hosts = ["a.example", "b.example"]')
    assert load_settings(config="server.toml").allowed_hosts == ("a.example", "b.example")
    monkeypatch.setenv("TALLYGATE_ALLOWED_HOSTS", " c.example, d.example ,")
    assert load_settings().allowed_hosts == ("c.example", "d.example")
    monkeypatch.setenv("TALLYGATE_OLD_SECRET_KEYS", '["a, b ", "c"]')
    assert [key.get_secret_value() for key in load_settings().old_secret_keys] == ["a, b ", "c"]
    monkeypatch.setenv("TALLYGATE_SITE_REACHED", "1000\n 5000, 9000")
    assert load_settings().site_reached == (1000, 5000, 9000)


def test_an_empty_variable_counts_as_unset(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "server.toml").write_text('host = "a.example"')
    monkeypatch.setenv("TALLYGATE_HOST", "")
    monkeypatch.setenv("TALLYGATE_PORT", "")
    monkeypatch.setenv("TALLYGATE_METRICS_TOKEN_FILE", "")
    settings = load_settings(config="server.toml")
    assert (settings.host, settings.port, settings.metrics_token) == ("a.example", 8000, None)


def test_the_end_of_a_secret_files_line_is_no_part_of_the_secret(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "key").write_bytes(b" a key with spaces \r\n")
    (bare / "keys").write_bytes(b"one\r\ntwo\r\n")
    monkeypatch.setenv("TALLYGATE_SECRET_KEY_FILE", "key")
    monkeypatch.setenv("TALLYGATE_OLD_SECRET_KEYS_FILE", "keys")
    settings = load_settings()
    assert settings.secret_key.get_secret_value() == " a key with spaces "
    assert [key.get_secret_value() for key in settings.old_secret_keys] == ["one", "two"]


def test_a_byte_order_mark_is_no_part_of_a_name_or_a_secret(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "key").write_text("a key", "utf-8-sig")
    (bare / ".env").write_text("TALLYGATE_PORT=8001", "utf-8-sig")
    (bare / "server.toml").write_text('host = "a.example"', "utf-8-sig")
    monkeypatch.setenv("TALLYGATE_SECRET_KEY_FILE", "key")
    settings = load_settings(config="server.toml")
    assert (settings.secret_key.get_secret_value(), settings.port, settings.host) == ("a key", 8001, "a.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TALLYGATE_PORT", "tcp://10.0.0.7:8000"),
        ("TALLYGATE_PORT_8000_TCP", "tcp://10.0.0.7:8000"),
        ("TALLYGATE_PORT_8000_TCP_ADDR", "10.0.0.7"),
        ("TALLYGATE_SERVICE_HOST", "10.0.0.7"),
        ("TALLYGATE_SERVICE_PORT_HTTP", "8000"),
        ("TALLYGATE_REDIS_PORT", "tcp://10.0.0.8:6379"),
        ("TALLYGATE_REDIS_SERVICE_HOST", "10.0.0.8"),
        ("TALLYGATE_DNS_PORT_53_UDP_PROTO", "udp"),
    ],
)
def test_kubernetes_service_variables_are_ignored(
    name: str, value: str, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load_settings() == Settings()


def test_every_setting_can_be_given_on_the_command_line(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert (field.description or "").split()[0] in shown


def test_a_percent_sign_in_a_description_does_not_break_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings.model_fields["host"], "description", "100% of it")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0


def test_check_config_succeeds_without_starting(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--port", "9000", "--redis-url", "redis://redis.internal:6379/0"]) == 0
    assert capsys.readouterr().out == "tallygate: the settings are good; no TOML file was named (--config FILE)\n"
    assert list(bare.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:p%40ss@redis.internal:6379/0",
        "rediss://redis.internal:6380",
        "redis://[::1]:6379",
        "unix:///run/redis@home/redis.sock?db=1",
        "redis+sentinel://user:password@one:26379,two:26379/service/0",
        "rediss+cluster://user:password@one:6379,two:6379",
    ],
)
def test_every_kind_of_redis_url_is_accepted(url: str, bare: Path) -> None:
    assert main(["check-config", "--redis-url", url]) == 0


def test_settings_manual_equals_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    printed = capsys.readouterr().out
    assert printed == settings_manual()
    assert printed == (ROOT / "docs" / "settings.md").read_text("utf-8"), "run `make docs`"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("tallygate ")


def test_the_examples_of_the_manual_are_accepted(bare: Path) -> None:
    urls = [part for line in settings_manual().splitlines() for part in line.split("`") if "://" in part]
    redis_urls = [
        url for url in urls if (url.startswith(("redis", "unix")) and url.count("/") > 2) or "cluster://u" in url
    ]
    assert len(redis_urls) == 5
    for url in redis_urls:
        assert load_settings({"redis_url": url}).redis_url is not None


@pytest.mark.slow
def test_module_exits_with_the_commands_code(bare: Path) -> None:
    command = [sys.executable, "-m", "app", "check-config", "--port", "none"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "tallygate: port (TALLYGATE_PORT): Input should be a valid integer, unable to parse string as an integer"
    ]


def test_providers_come_from_toml_and_variables_together(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "server.toml").write_text('[oauth.corp]\ntype = "oidc"\nissuer = "https://old.example"\n')
    (bare / "secret").write_text("hush\n")
    monkeypatch.setenv("TALLYGATE_OAUTH__CORP__ISSUER", "https://new.example")
    monkeypatch.setenv("TALLYGATE_OAUTH__CORP__CLIENT_SECRET_FILE", "secret")
    monkeypatch.setenv("TALLYGATE_OAUTH__CORP__ALLOW__DOMAINS", "corp.example")
    monkeypatch.setenv("TALLYGATE_OAUTH__MY_HUB__TYPE", "github")
    settings = load_settings(config="server.toml")
    assert settings.oauth == {
        "corp": {
            "type": "oidc",
            "issuer": "https://new.example",
            "client_secret": "hush",
            "allow": {"domains": "corp.example"},
        },
        "my_hub": {"type": "github"},
    }
    assert "hush" not in repr(settings)


def test_providers_may_be_one_variable_of_json(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYGATE_OAUTH", '{"hub": {"type": "github"}}')
    assert load_settings().oauth == {"hub": {"type": "github"}}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TALLYGATE_OAUTH": "{"}, "is not valid JSON"),
        ({"TALLYGATE_OAUTH": "[]"}, "valid dictionary"),
        ({"TALLYGATE_OAUTH": '{"a b": {}}'}, "a provider's name"),
        ({"TALLYGATE_OAUTH__CORP": "x"}, "there is no such setting"),
        ({"TALLYGATE_OAUTH__CORP__ALLOW": "x", "TALLYGATE_OAUTH__CORP__ALLOW__DOMAINS": "y"}, "contradicts"),
        ({"TALLYGATE_OAUTH__CORP__CLIENT_SECRET_FILE": "missing"}, "cannot be read"),
    ],
)
def test_a_bad_table_of_providers_is_refused_in_one_line(
    variables: dict[str, str], said: str, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said) as refused:
        load_settings()
    assert "TALLYGATE_OAUTH" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_settings_and_check_config_read_the_own_namespace(
    bare: Path, server: Valkey, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLYGATE_REDIS_URL", server.url)
    monkeypatch.setenv("TALLYGATE_REGISTRATION", "open")
    values: dict[str, Any] = {"registration": "closed", "announcement": "Hello.", "max_streams": 7}
    encrypted = Encryption([DEVELOPMENT_KEY], "config").encrypt(orjson.dumps({"hub": {"type": "github"}}))
    items = {name: Item(value) for name, value in values.items()} | {"oauth": Item(encrypted, secret=True)}
    stored = replace(empty_namespace(), revision=1, items=items)
    with server.client as valkey:
        valkey.hset(keys.config_namespace("tallygate"), items=stored.to_hash())
    assert main(["check-config"]) == 2
    assert "tallygate: namespace tallygate: oauth.hub." in capsys.readouterr().err
    with server.client as valkey:
        stored = replace(stored, items={name: item for name, item in items.items() if name != "oauth"})
        valkey.hset(keys.config_namespace("tallygate"), items=stored.to_hash())
    assert main(["check-config"]) == 0
    told = capsys.readouterr().out
    assert "namespace tallygate: registration: is locked" in told
    assert "the settings are good" in told
    assert main(["settings", "--now"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'registration = "open"  # file, environment or command line' in lines
    assert 'announcement = "Hello."  # namespace tallygate' in lines
    assert "max_streams = 7  # namespace tallygate" in lines
    assert "oauth = []  # default" in lines


def test_without_redis_the_namespace_is_not_checked_and_nothing_starts(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config"]) == 0
    assert "Redis does not answer" in capsys.readouterr().err
    assert not (bare / "data").exists()
    assert main(["settings", "--now"]) == 2
    assert "Redis does not answer" in capsys.readouterr().err
