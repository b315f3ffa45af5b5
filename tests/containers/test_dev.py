"""The dev container, opened as an editor would: by @devcontainers/cli. And the server under the debugger."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.debugger import Debugger
from tests.containers.engine import build, docker, free_port, run, until
from tests.containers.project import project
from tests.deploy.files import jsonc
from tests.helpers.service import ROOT

CLI = ("npx", "--yes", "@devcontainers/cli@0.89.0")
USER = 1000
"""The dev container's user. Where the tests run as root, its workspace is given to that user."""


class DevContainer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        up = run(*CLI, "up", "--workspace-folder", folder, seconds=900)
        self.started: dict[str, Any] = json.loads(up.stdout.strip().splitlines()[-1])
        self.id: str = self.started["containerId"]

    def exec(self, *command: str, seconds: float = 120, **options: Any) -> subprocess.CompletedProcess[Any]:
        return run(*CLI, "exec", "--workspace-folder", self.folder, *command, seconds=seconds, **options)

    @property
    def address(self) -> str:
        networks = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.id))
        return next(str(network["IPAddress"]) for name, network in networks.items() if name.endswith("_default"))


@pytest.fixture(scope="module")
def dev(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevContainer]:
    """The dev container of a copy of this working tree."""
    if shutil.which("npx") is None:
        pytest.skip("there is no npx here to run @devcontainers/cli with")
    folder = tmp_path_factory.mktemp("workspace") / "tallygate"
    _copy_of_the_working_tree(folder)
    name = jsonc(".devcontainer/devcontainer.json")["dockerComposeFile"]
    compose = (
        "docker",
        "compose",
        "--project-name",
        "tallygate_devcontainer",
        "--file",
        folder / ".devcontainer" / name,
    )
    dev = DevContainer(folder)
    try:
        yield dev
    finally:
        run(*compose, "down", "--volumes", "--timeout", "1")


def test_dev_container_has_its_dependencies(dev: DevContainer) -> None:
    assert dev.started["remoteUser"] == "dev"
    assert dev.started["remoteWorkspaceFolder"] == "/home/dev/tallygate"
    said = dev.exec("sh", "-c", "id -u; which python; make /home/dev/venv/dev.done; sudo id -u").stdout
    assert said.splitlines() == [
        str(USER),
        "/home/dev/venv/bin/python",
        "make: '/home/dev/venv/dev.done' is up to date.",
        "0",
    ]


def test_redis_is_beside_it(dev: DevContainer) -> None:
    ask = "import os, redis; print(redis.Redis.from_url(os.environ['TALLYGATE_REDIS_URL']).ping())"
    assert dev.exec("python", "-c", ask).stdout.strip() == "True"


def test_make_test_works_at_once(dev: DevContainer) -> None:
    """A part of the tests stands for all: they are the same commands, and this is not about the tests."""
    done = dev.exec("make", "test", "ARGS=-q tests/counter/test_home.py tests/deploy", check=False, seconds=600)
    assert re.search(r"\d+ passed", done.stdout), f"{done.stdout}\n{done.stderr}"
    assert "failed" not in done.stdout, done.stdout


def test_edited_file_is_served_within_two_seconds(dev: DevContainer) -> None:
    """The best of three: what else this machine does is not the dev container's doing."""
    command = ("docker", "exec", "--user", "dev", "--workdir", dev.started["remoteWorkspaceFolder"], dev.id)
    server = subprocess.Popen([*command, "make", "dev"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://{dev.address}:8000/live"
        health = dev.folder / "app" / "observability" / "health.py"
        before = health.read_text("utf-8")
        until(lambda: _says(url, '"live"'), "the server answers")
        taken = []
        for word in ("once", "twice", "thrice"):
            health.write_text(before.replace('status="live"', f'status="edited {word}"'), "utf-8")
            taken.append(until(partial(_says, url, f'"edited {word}"'), "the server has reloaded"))
        print("edit to reloaded server: {:.2f} s, {:.2f} s, {:.2f} s".format(*taken))
        assert min(taken) < 2
    finally:
        dev.exec("sh", "-c", "kill $(cat /proc/[0-9]*/stat | awk '$2 == \"(make)\" {print $1}')", check=False)
        server.wait(30)


def test_the_debugger_stops_the_server_at_a_line(image: str) -> None:
    """What the launch configuration "Attach to the container" does, the reloaded child included."""
    build("tallygate-dev", "dev")
    line = _line_of("app/observability/health.py", 'status="live"')
    port, http = free_port(), free_port()
    with project(image, "debug", DEBUG_PORT=str(port), DEBUG_HTTP_PORT=str(http)) as compose:
        compose("up", "--detach", "--no-build", "--wait", "debug")
        url = f"http://127.0.0.1:{http}/live"
        until(lambda: _says(url, '"live"'), "the server answers")
        source = "/home/dev/tallygate/app/observability/health.py"
        with Debugger(port) as parent, Debugger(port) as tracker, Debugger(port) as server:
            parent.attach(source, line, subProcess=True)
            # multiprocessing starts its resource tracker first, then the server.
            children = sorted(parent.wait_for("event", "debugpyAttach")["body"]["subProcessId"] for _ in range(2))
            for child, debugger in zip(children, (tracker, server), strict=True):
                debugger.attach(source, line, subProcessId=child)
            asking = threading.Thread(target=_says, args=(url, '"live"'))
            asking.start()
            stopped = server.wait_for("event", "stopped")
            assert stopped["body"]["reason"] == "breakpoint"
            server.ask("continue", threadId=stopped["body"]["threadId"])
            asking.join(30)
            assert not asking.is_alive()


def _copy_of_the_working_tree(folder: Path) -> None:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    for path in (Path(line) for line in listed):
        if (ROOT / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)
        for parent in folder.parents[:3]:
            parent.chmod(0o755)


def _says(url: str, text: str) -> bool:
    try:
        return text in httpx.get(url, timeout=60, verify=False).text
    except httpx.TransportError:
        return False


def _line_of(path: str, text: str) -> int:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)
