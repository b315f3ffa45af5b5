from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import fresh_clone
from tests.kubernetes.cluster import Cluster, cluster, programs


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server, for all tests."""
    with cluster(*programs(), tmp_path_factory.mktemp("kubernetes")) as found:
        yield found


@pytest.fixture(scope="session")
def k8s(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_clone(tmp_path_factory.mktemp("manifests"))
