"""deploy/compose.sentinel.yaml: the primary is killed under load, and every visit is counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import docker, until
from tests.containers.project import Project, project


@pytest.fixture(params=["", "a-password-of-the-test"])
def compose(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    settings = {"COMPOSE_FILE": "compose.yaml:deploy/compose.sentinel.yaml"}
    if request.param:
        file = tmp_path / "redis-password"
        file.write_text(request.param)
        file.chmod(0o644)  # the users of the containers read it
        settings["REDIS_PASSWORD_FILE"] = str(file)
    with project(image, **settings) as compose:
        yield compose


def test_the_loss_of_the_primary_loses_no_visit(compose: Project) -> None:
    compose.up()
    numbers = [compose.app.visit() for _ in range(20)]
    docker("kill", "--signal", "KILL", f"{compose.name}-redis-1")
    for _ in range(20):
        compose.app.visit()
    until(lambda: compose.app.visits() == 40, "every visit is counted on the former replica", seconds=90, pause=0.5)
    assert numbers == list(range(1, 21))
    assert compose.app.inspect("{{.RestartCount}}") == "0"
