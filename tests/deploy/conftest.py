from pathlib import Path

import pytest

from tests.deploy.files import OVERLAYS, Document, fresh_clone, kustomize, with_components


@pytest.fixture(scope="session")
def k8s(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_clone(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, k8s: Path) -> list[Document]:
    """Each overlay in turn, as the cluster gets it."""
    return kustomize(k8s / "overlays" / request.param)


@pytest.fixture(scope="session")
def production(k8s: Path) -> list[Document]:
    return kustomize(k8s / "overlays" / "production")


@pytest.fixture(scope="session")
def by_ingress(k8s: Path) -> list[Document]:
    """The service behind an Ingress."""
    return with_components(k8s, "ingress", of="base")
