"""`make dev PROVIDERS=1`: the service, and beside it providers that need no account anywhere."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dev.__main__ import PRESET
from dev.openid import NodeMissing, installed_node
from tests.helpers.oauth_flow import OAuthFlow, ProviderBrowser
from tests.helpers.service import ROOT, Process, process
from tests.helpers.sockets import PATIENCE, free_port, free_ports
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

pytestmark = pytest.mark.slow

SERVE = (sys.executable, "-m", "uvicorn", "app.main:app", "--reload", "--reload-dir", str(ROOT / "app"), "--port")
DEV = ("-m", "dev")


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """The preset, at ports that nobody else has."""
    ports = dict(zip(("8010", "8011"), map(str, free_ports(2)), strict=True))
    path = tmp_path / "providers.toml"
    path.write_text(re.sub("8010|8011", lambda match: ports[match[0]], PRESET.read_text("utf-8")), "utf-8")
    return path


@pytest.fixture
def node() -> str:
    try:
        return installed_node()
    except NodeMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def service(node: str, preset: Path, tmp_path: Path, server: Valkey) -> Iterator[Process]:
    command = (*SERVE, str(free_port()))
    with process(tmp_path, *command, command=DEV, config=str(preset), redis_url=server.url) as service:
        yield service
    with suppress(ProcessLookupError):  # what a test that fails has found
        os.killpg(service.process.pid, signal.SIGKILL)


def left_of(session: int) -> list[str]:
    """The commands of a session's processes that still run (on Linux)."""
    return [command for folder in Path("/proc").glob("[0-9]*") if (command := _command(folder, session))]


def _command(folder: Path, session: int) -> str:
    try:
        state, _, _, its_session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        running = its_session == str(session) and state != "Z"
        return (folder / "cmdline").read_text().replace("\0", " ") if running else ""
    except OSError:  # it has ended
        return ""


async def test_both_development_providers_sign_in(service: Process) -> None:
    home = service.url()
    async with (
        httpx.AsyncClient(base_url=home, verify=False, timeout=PATIENCE) as browser,
        ProviderBrowser(home) as there,
    ):
        flow = OAuthFlow(browser)
        listed = (await browser.get("/api/oauth")).json()
        assert [one["label"] for one in listed] == ["OpenID", "微信 WeChat"]
        await flow.callback(await there.follow(await flow.start("openid"), login="alice", password="x"))
        alice = await flow.user()
        assert alice is not None
        assert alice["name"] == "alice"
        await flow.callback(await there.follow(await flow.start("wechat"), who="李四"))
        li = await flow.user()
        assert li is not None
        assert li["name"] == "李四"
        refused = await flow.callback(await there.follow(await flow.start("wechat"), who=""))
        assert (refused.status_code, refused.headers["location"]) == (303, "/account")


async def test_localhost_works_beside_127_0_0_1(service: Process) -> None:
    home = service.url().replace("127.0.0.1", "localhost")
    async with (
        httpx.AsyncClient(base_url=home, verify=False, timeout=PATIENCE) as browser,
        ProviderBrowser(home) as there,
    ):
        flow = OAuthFlow(browser)
        await flow.callback(await there.follow(await flow.start("openid"), login="alice", password="x"))
        assert await flow.user() is not None


def press_ctrl_c(service: Process) -> None:
    os.killpg(service.process.pid, signal.SIGINT)  # what a terminal sends, it sends to all


def terminate(service: Process) -> None:
    service.process.terminate()


@pytest.mark.parametrize("end", [press_ctrl_c, terminate])
def test_one_signal_stops_all_processes(service: Process, end: Callable[[Process], None]) -> None:
    service.url()
    assert any("server.js" in command for command in left_of(service.process.pid))
    end(service)
    assert service.process.wait(PATIENCE) in {0, 143}
    until(lambda: left_of(service.process.pid) == [])
    assert "Traceback" not in service.output


def test_providers_stop_with_the_command(node: str, preset: Path, tmp_path: Path) -> None:
    with process(tmp_path, sys.executable, "-c", "exit(7)", command=DEV, config=str(preset)) as service:
        assert service.process.wait(PATIENCE) == 7
        until(lambda: left_of(service.process.pid) == [])


def refusal(folder: Path, *command: str, **settings: str) -> str:
    """The line that is said instead of starting the command."""
    with process(folder, *command, command=DEV, **settings) as service:
        assert service.process.wait(PATIENCE) == 2
        *_, line = service.output.splitlines()
        assert "Traceback" not in service.output
        until(lambda: left_of(service.process.pid) == [])
    return line


@pytest.mark.parametrize("name", ["issuer", "open_url"])
def test_a_taken_port_is_named(name: str, node: str, preset: Path, tmp_path: Path) -> None:
    found = re.search(rf'{name} = ".*:(\d+)"', preset.read_text("utf-8"))
    assert found is not None
    with socket.create_server(("127.0.0.1", int(found[1]))):
        line = refusal(tmp_path, "true", config=str(preset))
    assert line == f"tallygate: port {found[1]} of 127.0.0.1 cannot be used (Address already in use)"


def test_a_missing_node_is_named(preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs Node.js" in refusal(tmp_path, "true", config=str(preset))


@pytest.fixture
def make_node(node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in the place of node."""

    def make(script: str) -> None:
        for name in ("node", "npm"):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return make


def test_an_old_node_is_named(preset: Path, tmp_path: Path, make_node: Callable[[str], None]) -> None:
    make_node("echo v18.19.0")
    assert "needs Node.js 20 or newer" in refusal(tmp_path, "true", config=str(preset))


def test_a_provider_that_does_not_start_is_named(
    preset: Path, tmp_path: Path, make_node: Callable[[str], None]
) -> None:
    make_node('[ "$1" = --version ] && echo v22.0.0 || read line')
    assert refusal(tmp_path, "true", config=str(preset)) == "tallygate: the OpenID provider does not start"


def test_ctrl_c_before_everything_has_started(preset: Path, tmp_path: Path, make_node: Callable[[str], None]) -> None:
    make_node('[ "$1" = --version ] && echo v22.0.0 || exec sleep 60')
    with process(tmp_path, "true", command=DEV, config=str(preset)) as service:
        until(lambda: any("sleep" in command for command in left_of(service.process.pid)))
        press_ctrl_c(service)
        assert service.process.wait(PATIENCE) in {2, 130}
        until(lambda: left_of(service.process.pid) == [])
        assert "Traceback" not in service.output


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[oauth.corp]\ntype = 'oidc'\nissuer = 'https://corp.example'\nclient_id = 'x'\n", "no table [oauth.<name>]"),
        ("[oauth.corp]\ntype = 'oidc'\nissuer = 'http://localhost:1'\n", "oauth.corp.client_id: Field required"),
        ("[oauth", "is not valid TOML"),
        ("", "no table [oauth.<name>]"),
    ],
)
def test_a_file_without_providers_for_development_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(text, "utf-8")
    assert reason in refusal(tmp_path, "true", config=str(path))


def test_missing_command_prints_usage(tmp_path: Path) -> None:
    assert "name the command to run" in refusal(tmp_path)


@pytest.mark.parametrize("providers", ["", "1"])
def test_make_dev_starts_them_where_they_are_asked_for(providers: str) -> None:
    plain = {"PATH": os.environ["PATH"]}  # without what the `make test ARGS=...` around this one hands down
    command = ["make", "--dry-run", "dev", f"PROVIDERS={providers}"]
    asked = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout
    assert ("-m dev" in asked) is bool(providers)
    assert "uvicorn app.main:app --reload" in asked
