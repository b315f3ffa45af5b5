import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import fresh_clone
from tests.kubernetes.cluster import Cluster, cluster


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server, for all tests."""
    binaries = os.environ.get("KUBE_BIN")
    if not binaries:
        pytest.skip("KUBE_BIN names no folder with kube-apiserver and etcd: see docs/develop.md")
    folder = Path(binaries).resolve()
    kubectl = shutil.which("kubectl", path=f"{folder}{os.pathsep}{os.environ['PATH']}")
    missing = [name for name in ("kube-apiserver", "etcd") if not os.access(folder / name, os.X_OK)]
    if missing or kubectl is None:
        pytest.skip(f"not in {folder}: {', '.join(missing) or 'kubectl'}")
    with cluster(folder, kubectl, tmp_path_factory.mktemp("kubernetes")) as found:
        yield found


@pytest.fixture(scope="session")
def k8s(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_clone(tmp_path_factory.mktemp("manifests"))
