"""Settings that are refused: one line that names the setting, exit code 2, and no secret in it."""

from pathlib import Path

import pytest

from app.cli.main import main

SECRET = "hunter2-hunter2"
KEY = "a-key-that-is-at-least-32-characters-long"


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that says why the settings are refused."""
    assert main(["check-config", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("tallygate: ")
    assert SECRET not in line
    return line.removeprefix("tallygate: ")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--port", "70000"], "port (TALLYGATE_PORT): "),
        (["--port", "many"], "port (TALLYGATE_PORT): "),
        (["--port"], "--port: "),
        (["--workers", "0"], "workers (TALLYGATE_WORKERS): "),
        (["--host", ""], "host (TALLYGATE_HOST): "),
        (["--environment", "staging"], "environment (TALLYGATE_ENVIRONMENT): "),
        (["--log-level", "verbose"], "log_level (TALLYGATE_LOG_LEVEL): "),
        (["--redis-timeout", "nan"], "redis_timeout (TALLYGATE_REDIS_TIMEOUT): "),
        (["--trusted-proxies", "everybody"], "trusted_proxies (TALLYGATE_TRUSTED_PROXIES): "),
        (["--allowed-hosts", "a.example,b.example:8000"], "allowed_hosts (TALLYGATE_ALLOWED_HOSTS): b.example:8000: "),
        (["--allowed-hosts", "https://a.example"], "allowed_hosts (TALLYGATE_ALLOWED_HOSTS): https://a.example: "),
        (["--allowed-hosts", "*.a.example"], "allowed_hosts (TALLYGATE_ALLOWED_HOSTS): *.a.example: "),
        (["--allowed-hosts", "::1"], "allowed_hosts (TALLYGATE_ALLOWED_HOSTS): ::1: "),
        (["--old-secret-keys", '["a,b"'], "old_secret_keys (TALLYGATE_OLD_SECRET_KEYS): is not valid JSON"),
        (["--secret-key", ""], "secret_key (TALLYGATE_SECRET_KEY): "),
        (["--redis-url", "http://redis.internal"], "redis_url (TALLYGATE_REDIS_URL): it has to begin with one of "),
        (["--redis-url", "redis+sentinel://sentinel-1:26379"], "redis_url (TALLYGATE_REDIS_URL): it has to name "),
        (
            ["--oauth-ca-file", "nowhere.pem"],
            "oauth_ca_file (TALLYGATE_OAUTH_CA_FILE): nowhere.pem cannot be used (No such file or directory)",
        ),
        (["--oauth-ca-file", "."], "oauth_ca_file (TALLYGATE_OAUTH_CA_FILE): . cannot be used (Is a directory)"),
        (
            ["--oauth-ca-file", "/dev/null"],
            "oauth_ca_file (TALLYGATE_OAUTH_CA_FILE): /dev/null cannot be used (it holds no good PEM certificate)",
        ),
        (["--nonsense", SECRET], "--nonsense: there is no such setting"),
        ([f"--secret_key={SECRET}"], "--secret_key: there is no such setting"),
        (["--por", "9000"], "--por: there is no such setting"),
        (["extra"], "extra: check-config takes no such argument"),
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_command_line_is_refused(
    arguments: list[str], start: str, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(capsys, *arguments).startswith(start)


def test_an_unknown_command_is_refused(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert capsys.readouterr().err.startswith("tallygate: dance: there is no such command; there are serve, ")


@pytest.mark.parametrize(
    ("name", "value", "start"),
    [
        ("TALLYGATE_NONSENSE", "1", "TALLYGATE_NONSENSE: there is no such setting"),
        ("TALLYGATE_NONSENSE", "", "TALLYGATE_NONSENSE: there is no such setting"),
        ("TALLYGATE_NONSENSE_FILE", "/dev/null", "TALLYGATE_NONSENSE_FILE: there is no such setting"),
        ("TALLYGATE_PORT__NESTED", "1", "TALLYGATE_PORT__NESTED: there is no such setting"),
        ("TALLYGATE_PORT", "eighty", "port (TALLYGATE_PORT): "),
        ("TALLYGATE_SECRET_KEY_FILE", "/no/such/file", "TALLYGATE_SECRET_KEY_FILE: the file it names cannot be read"),
        ("TALLYGATE_SECRET_KEY_FILE", "/dev/null", "TALLYGATE_SECRET_KEY_FILE: the file it names is empty"),
        ("TALLYGATE_SECRET_KEY_FILE", "binary", "TALLYGATE_SECRET_KEY_FILE: the file it names is not text in UTF-8"),
        ("TALLYGATE_CONFIG", "binary", "binary: is not valid TOML"),
    ],
)
def test_a_bad_environment_is_refused(
    name: str,
    value: str,
    start: str,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (bare / "binary").write_bytes(b"\xff\xfe")
    monkeypatch.setenv(name, value)
    assert refusal(capsys).startswith(start)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("nonsense = 1", "nonsense: there is no such setting"),
        ("port = ", "server.toml: is not valid TOML"),
        ("port = 80.5", "port (TALLYGATE_PORT): "),
        ('[port]\nnumber = "1"', "port (TALLYGATE_PORT): "),
        (f"secret_key = [1, '{SECRET}']", "secret_key (TALLYGATE_SECRET_KEY): "),
        (f"allowed_hosts = [{{name = '{SECRET}'}}]", "allowed_hosts.0 "),
    ],
)
def test_a_bad_config_file_is_refused(text: str, start: str, bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "server.toml").write_text(text)
    assert refusal(capsys, "--config", "server.toml").startswith(start)


def test_an_unreadable_dotenv_is_refused(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / ".env").write_bytes(b"TALLYGATE_HOST=\xff\xfe\n")
    assert refusal(capsys).startswith(".env: cannot be read")


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/more@redis.internal:6379/0",
        f"redis://user:12/{SECRET}@redis.internal",
        f"redis://user:p@{SECRET}@redis.internal:6379",
        f"redis://user:p?{SECRET}@redis.internal:6379",
        f"redis://user:p＠{SECRET}@redis.internal:6379",
        f"redis+cluster://:{SECRET}#more@node-1:6379,node-2:6379",
        f"rediss+sentinel://u:{SECRET}/more@sentinel-1:26379/service/0",
        f"redis+sentinel://u:12/{SECRET}@sentinel-1",
        f"redis://user:{SECRET}@redis.internal:port",
        f"redis://user:{SECRET}@[::1:6379",
    ],
)
def test_a_redis_url_that_cannot_be_read_is_not_quoted(
    url: str, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, "--redis-url", url)
    assert line.startswith("redis_url (TALLYGATE_REDIS_URL): ")
    assert "written as %" in line


@pytest.mark.parametrize("key", [None, "short", "development-only-secret-key"])
def test_production_refuses_an_insecure_key(key: str | None, bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--secret-key", key] if key else []
    line = refusal(capsys, "--environment", "production", *arguments)
    assert line.startswith("secret_key: production needs a key of its own")
    assert "TALLYGATE_SECRET_KEY_FILE" in line


@pytest.mark.parametrize("old", ["development-only-secret-key", SECRET, f"{KEY},{SECRET}"])
def test_production_refuses_insecure_old_keys(old: str, bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "--environment", "production", "--secret-key", KEY, "--old-secret-keys", old)
    assert line.startswith("old_secret_keys (TALLYGATE_OLD_SECRET_KEYS): ")


def test_production_accepts_a_key_of_its_own(bare: Path) -> None:
    assert main(["check-config", "--environment", "production", "--secret-key", KEY]) == 0


def test_missing_embedded_server_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    assert "install valkey, or set redis_url" in refusal(capsys)
