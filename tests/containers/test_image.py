"""The production image: what is in it, and how it starts, runs and ends."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.containers.engine import SECRET_KEY, Container, build, container, docker, run, until, volume
from tests.helpers.service import ROOT

MEGABYTE = 1_000_000
LEAST_RIGHTS = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PRODUCTION = (*LEAST_RIGHTS, "--env", f"TALLYGATE_SECRET_KEY={SECRET_KEY}")


@pytest.fixture
def service(image: str, store: str) -> Iterator[Container]:
    """The service with as few rights as it needs, on a Redis of its own."""
    with container(image, "--network", store, *PRODUCTION) as service:
        yield service


def test_an_unchanged_source_is_built_in_seconds(image: str) -> None:
    seconds = build(image, "production")
    print(f"cached build: {seconds:.1f} s")
    assert seconds < 15


def test_our_layers_are_small(image: str) -> None:
    base = re.findall(r"^FROM (\S+) AS base$", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)[0]
    ours = _size(image) - _size(base)
    print(f"our layers: {ours / MEGABYTE:.1f} MB")
    assert 0 < ours < 160 * MEGABYTE


def test_image_has_no_build_tools(image: str) -> None:
    found = docker(
        "run", "--rm", image, "sh", "-c", "command -v pip gcc make git curl; python -m ensurepip", check=False
    )
    assert found == ""
    assert "pip" not in docker("run", "--rm", image, "ls", "/usr/local/lib/python3.13/site-packages")


def test_image_has_only_the_application(image: str) -> None:
    assert docker("run", "--rm", image, "ls").split() == ["app"]
    assert docker("run", "--rm", image, "id", "-u") == "10001"


def test_container_starts_unprivileged(service: Container) -> None:
    """The best of three, without what it waited for a processor: what else this machine does is not its doing."""
    service.ready()
    taken = []
    for _ in range(3):
        docker("stop", service.name)
        began = time.monotonic()
        docker("start", service.name)
        service.ready()
        seconds, waited = time.monotonic() - began, service.waited()
        print(f"start to ready: {seconds:.2f} s, of which {waited:.2f} s waiting for a processor")
        taken.append(seconds - waited)
    assert min(taken) < 2
    assert service.exec("touch", "/srv/tallygate/x", check=False).returncode != 0


@pytest.mark.parametrize("workers", [1, 2])
def test_an_idle_worker_is_small_and_so_is_the_parent_of_several(image: str, store: str, workers: int) -> None:
    with container(image, "--network", store, *PRODUCTION, "--env", f"TALLYGATE_WORKERS={workers}") as service:
        service.ready()
        service.visit()
        sizes = service.exec("sh", "-c", "cat /proc/[0-9]*/status").stdout
        resident = sorted(int(found) / 1000 for found in re.findall(r"VmRSS:\s+(\d+) kB", sizes))
        print(f"resident with {workers} workers:", ", ".join(f"{size:.0f} MB" for size in resident))
        assert len([size for size in resident if size > 40]) == workers + (workers > 1)
        assert resident[-1] <= 80


def test_the_engine_finds_it_healthy(service: Container) -> None:
    until(lambda: service.inspect("{{.State.Health.Status}}") == "healthy", "it is healthy", seconds=40, pause=0.5)


def test_sigterm_counts_every_visit(image: str, store: str) -> None:
    with container(image, "--network", store, *PRODUCTION) as service:
        service.ready()
        numbers = [service.visit() for _ in range(5)]
        began = time.monotonic()
        docker("stop", "--time", "10", service.name)
        seconds = time.monotonic() - began
        print(f"stop: {seconds:.2f} s")
        assert seconds < 5
        assert service.inspect("{{.State.ExitCode}}") == "0"
        docker("start", service.name)
        service.ready()
        assert service.visits() == max(numbers) == 5


def test_container_drains_and_stops(service: Container) -> None:
    service.ready()
    service.exec("/bin/sh", "-c", "kill -USR1 1")
    until(lambda: service.status("/ready") == 503, "/ready says 503")
    assert service.status("/live") == 200
    assert service.visit() == 1, "who comes late is still served"


def test_missing_secret_names_the_setting(image: str) -> None:
    done = run("docker", "run", "--rm", image, check=False)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert "TALLYGATE_SECRET_KEY" in line


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("TALLYGATE_NO_SUCH=1", "TALLYGATE_NO_SUCH"),
        ("TALLYGATE_WORKERS=many", "workers"),
        ("TALLYGATE_REDIS_URL=", "data_dir"),
    ],
    ids=["unknown", "bad", "unwritable"],
)
def test_insecure_setting_prints_one_line(image: str, wrong: str, named: str) -> None:
    """An empty redis_url asks for the embedded Valkey, whose folder a read-only root cannot hold without a volume."""
    done = run("docker", "run", "--rm", *PRODUCTION, "--env", wrong, image, check=False)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert named in line


def test_taken_port_prints_one_line(service: Container) -> None:
    service.ready()
    done = service.exec("python", "-m", "app", check=False)
    assert done.returncode == 2
    assert "port: cannot listen" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_container_without_a_store_is_alive_and_not_ready(image: str) -> None:
    with container(image, *PRODUCTION, "--env", "TALLYGATE_REDIS_TIMEOUT=0.5", "--restart", "always") as service:
        until(lambda: service.status("/live") == 200, "/live says 200")
        assert service.status("/ready") == 503
        until(lambda: service.inspect("{{.State.Health.Status}}") == "healthy", "it is healthy", seconds=40, pause=0.5)
        assert service.inspect("{{.RestartCount}}") == "0"


def test_image_can_embed_valkey(image: str) -> None:
    with (
        volume() as data,
        container(image, *PRODUCTION, "--env", "TALLYGATE_REDIS_URL=", "--volume", f"{data}:/data") as service,
    ):
        service.ready()
        assert [service.visit() for _ in range(3)] == [1, 2, 3]
        docker("kill", "--signal", "KILL", service.name)
        docker("start", service.name)
        service.ready()
        assert service.visit() == 4


def _size(image: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))
