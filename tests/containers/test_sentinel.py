"""deploy/compose.sentinel.yaml: the primary is killed under load, and every visit is counted."""

from collections.abc import Iterator

import pytest

from tests.containers.engine import docker, until
from tests.containers.project import Project, project


@pytest.fixture
def compose(image: str) -> Iterator[Project]:
    with project(image, COMPOSE_FILE="compose.yaml:deploy/compose.sentinel.yaml") as compose:
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
