import os
from collections.abc import Iterator

import pytest

from tests.containers.engine import STORE, build, container, docker, missing, network

ASKED = "TALLYGATE_TEST_CONTAINERS" in os.environ


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Every test here needs one, and minutes: so only `make test-containers` runs them."""
    if not ASKED:
        pytest.skip("builds and runs containers: by `make test-containers`")
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The production image, built from this working tree."""
    build("tallygate:test", "production")
    return "tallygate:test"


@pytest.fixture
def store(engine: None) -> Iterator[str]:
    """A network in which a Redis is called `redis`, as the image expects."""
    with network() as name, container(STORE, "--network", name, "--network-alias", "redis") as redis:
        while "PONG" not in docker("exec", redis.name, "redis-cli", "ping", check=False):
            pass
        yield name
