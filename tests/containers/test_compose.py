"""`docker compose up`: the service and its store, whose data survives whatever happens to the containers."""

from collections.abc import Iterator

import pytest

from tests.containers.engine import docker, lines, until
from tests.containers.project import Project, project
from tests.helpers.service import ROOT


@pytest.fixture
def compose(image: str) -> Iterator[Project]:
    with project(image) as compose:
        yield compose


def test_up_is_quick_and_data_survives_down_and_up(compose: Project) -> None:
    seconds = compose.up()
    print(f"up --wait: {seconds:.1f} s")
    assert seconds < 15
    assert [compose.app.visit() for _ in range(3)] == [1, 2, 3]
    compose("down")
    compose.up()
    assert compose.app.visit() == 4


def test_data_survives_the_killing_of_everything(compose: Project) -> None:
    compose.up()
    assert [compose.app.visit() for _ in range(3)] == [1, 2, 3]
    docker("kill", "--signal", "KILL", compose.app.name, f"{compose.name}-redis-1")
    compose.up()
    assert compose.app.visit() == 4


def test_service_survives_a_store_restart(compose: Project) -> None:
    compose.up()
    assert compose.app.visit() == 1
    compose("stop", "redis")
    assert compose.app.status("/ready") == 200
    assert compose.app.status("/ready?store") == 503
    assert compose.app.status("/live") == 200
    compose("start", "redis")
    compose.app.ready()
    compose.app.visit()
    until(lambda: compose.app.visits() == 2, "the visit is counted")
    assert compose.app.inspect("{{.RestartCount}}") == "0"


def test_settings_come_from_the_environment(image: str) -> None:
    environment = {
        "TALLYGATE_ENVIRONMENT": "production",
        "TALLYGATE_SECRET_KEY": "s" * 40,
        "TALLYGATE_LOG_LEVEL": "error",
    }
    with project(image, **environment) as compose:
        compose.up()
        compose.app.visit()
        inside = dict(line.split("=", 1) for line in compose.app.exec("env").stdout.splitlines() if "=" in line)
        assert environment.items() <= inside.items()
        assert not lines(compose.log_of("app")), "access lines are of the level info"


def test_valkey_is_a_store_as_well(image: str) -> None:
    valkey = "valkey/valkey:9.1.1"
    if docker("image", "inspect", valkey, check=False) == "[]" and "Pulled" not in docker("pull", valkey, check=False):
        pytest.skip(f"{valkey} cannot be had here")
    with project(image, STORE_IMAGE=valkey) as compose:
        compose.up()
        assert compose.app.visit() == 1
        compose("down")
        compose.up()
        assert compose.app.visit() == 2


def test_the_store_is_backed_up_and_restored_as_the_manual_says(compose: Project) -> None:
    back_up, restore = ((ROOT / "deploy" / name).read_text("utf-8") for name in ("backup.sh", "restore.sh"))
    compose.up()
    assert [compose.app.visit() for _ in range(3)] == [1, 2, 3]
    saved = compose("exec", "-T", "redis", "sh", "-c", back_up, text=False).stdout
    assert compose.app.visit() == 4, "after the back-up: this will be gone"
    compose("down")
    compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "redis", "-c", restore, input=saved, text=False)
    compose.up()
    assert compose.app.visit() == 4
    assert "back-up.rdb" not in compose("exec", "redis", "ls", "/data").stdout
