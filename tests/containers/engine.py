"""A container engine by its command line, `docker`: Docker itself, or podman behind Docker's API."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.helpers.service import ROOT

SECRET_KEY = "k" * 40
STORE = "redis:8.6.3"
AS_JSON = {"Accept": "application/json"}


def missing() -> str | None:
    """Why there is no engine, or None."""
    if shutil.which("docker") is None:
        return "there is no `docker` command here"
    asked = run("docker", "version", "--format", "{{.Server.Version}}", check=False)
    return None if asked.returncode == 0 else f"no container engine answers: {asked.stderr.strip()}"


def run(
    *command: str | Path, check: bool = True, seconds: float = 120, folder: Path = ROOT, **options: Any
) -> subprocess.CompletedProcess[Any]:
    options = {"text": True} | options
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=seconds, check=False, **options)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def docker(*arguments: str | Path, **options: Any) -> str:
    printed: str = run("docker", *arguments, **options).stdout.strip()
    return printed


def build(tag: str, target: str) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    docker("build", "--tag", tag, "--target", target, ".", seconds=900)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def until(true: Callable[[], bool], what: str, seconds: float = 30, pause: float = 0.02) -> float:
    """Waits until it is so; seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(pause)
    return time.monotonic() - began


class Container:
    """One container, from `docker run` to `docker rm`."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"

    def inspect(self, template: str) -> str:
        return docker("inspect", "--format", template, self.name)

    def exec(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("docker", "exec", self.name, *command, check=check)

    def logs(self) -> str:
        done = run("docker", "logs", self.name)
        return f"{done.stdout}{done.stderr}"

    def status(self, path: str) -> int:
        """0 where nothing answers."""
        try:
            return httpx.get(self.url + path, timeout=5, verify=False).status_code
        except httpx.TransportError:
            return 0

    def ready(self) -> float:
        """Waits until it is; seconds that it took."""
        return until(lambda: self.status("/ready") == 200, f"/ready says 200\n{self.logs()}")

    def waited(self) -> float:
        """Seconds for which its first process was ready to run, and others ran (/proc/<pid>/schedstat)."""
        _, nanoseconds, _ = self.exec("cat", "/proc/1/schedstat").stdout.split()
        return int(nanoseconds) / 1e9

    def visit(self) -> int:
        number: int = httpx.get(self.url, headers=AS_JSON, timeout=5, verify=False).json()["visits"]
        return number

    def visits(self) -> int:
        """-1 where nobody knows for now."""
        answer = httpx.get(f"{self.url}/api/visits", timeout=5, verify=False)
        return int(answer.json()["visits"]) if answer.status_code == 200 else -1


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Runs the image with its port 8000 on a free one of this machine."""
    port = free_port()
    name = f"tallygate-test-{port}"
    publish = f"127.0.0.1:{port}:8000"
    docker("run", "--detach", "--name", name, "--publish", publish, *options, image, *command)
    try:
        yield Container(name, port)
    finally:
        docker("rm", "--force", "--volumes", name)


@contextmanager
def network() -> Iterator[str]:
    name = f"tallygate-test-{free_port()}"
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def volume() -> Iterator[str]:
    name = f"tallygate-test-{free_port()}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", name)


def lines(output: str) -> list[dict[str, Any]]:
    """The JSON lines of a log."""
    return [json.loads(line[line.index("{") :]) for line in output.splitlines() if '{"' in line]
