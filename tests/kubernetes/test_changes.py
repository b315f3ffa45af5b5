"""What is changed in a cluster by applying other manifests to it: possible, or refused as docs/deploy.md says."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import OVERLAYS, Document, kustomize, with_components
from tests.helpers.service import ROOT
from tests.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow


class Place:
    """A namespace in which one overlay is applied over another."""

    def __init__(self, kubernetes: Cluster) -> None:
        self.kubernetes = kubernetes
        self._known = kubernetes.kinds()
        self._applied: list[Document] = []

    def apply(self, documents: list[Document]) -> None:
        known = [document for document in documents if (document["apiVersion"], document["kind"]) in self._known]
        self._applied += known
        self.kubernetes.apply(known)

    def names(self) -> set[str]:
        """Of all objects that the namespace has of these kinds, as kind/name."""
        kinds = {document["kind"] for document in self._applied} - {"Namespace", "PersistentVolume"}
        found = self.kubernetes.do("--namespace", "tallygate", "get", ",".join(sorted(kinds)), "--output", "name")
        pairs = (line.split("/") for line in found.split())
        return {f"{kind.partition('.')[0]}/{name}" for kind, name in pairs}

    def clear(self) -> None:
        self.kubernetes.delete(self._applied)


@pytest.fixture
def place(kubernetes: Cluster) -> Iterator[Place]:
    found = Place(kubernetes)
    yield found
    found.clear()


@pytest.fixture(scope="session")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests of the newest tag, or of the commit that KUBE_PREVIOUS names."""
    git = ["git", "-C", str(ROOT)]
    tags = subprocess.run(
        [*git, "tag", "--list", "v*", "--sort=-v:refname"], capture_output=True, text=True, check=False
    )
    release = os.environ.get("KUBE_PREVIOUS") or tags.stdout.partition("\n")[0]
    if not release:
        pytest.skip("there is no release yet to update from: KUBE_PREVIOUS names a commit instead")
    folder = tmp_path_factory.mktemp("last-release")
    packed = subprocess.run([*git, "archive", release, "k8s"], capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", folder], input=packed.stdout, check=True)
    return folder / "k8s"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_update_from_the_last_release_changes_no_fixed_field(
    place: Place, k8s: Path, last_release: Path, overlay: str
) -> None:
    place.apply(kustomize(last_release / "overlays" / overlay))
    place.apply(kustomize(k8s / "overlays" / overlay))


@pytest.mark.parametrize("other", ["production", "external-redis"])
def test_another_overlay_is_applied_over_the_first(place: Place, k8s: Path, other: str) -> None:
    place.apply(kustomize(k8s / "overlays" / "dev"))
    place.apply(kustomize(k8s / "overlays" / other))


def test_nas_takes_the_place_of_production_without_its_statefulset(place: Place, k8s: Path) -> None:
    place.apply(kustomize(k8s / "overlays" / "production"))
    nas = kustomize(k8s / "overlays" / "nas")
    with pytest.raises(AssertionError, match="updates to statefulset spec for fields other than"):
        place.apply(nas)
    place.kubernetes.do("--namespace", "tallygate", "delete", "statefulset", "redis")
    place.apply(nas)


def test_what_an_overlay_has_no_more_stays(place: Place, k8s: Path) -> None:
    place.apply(with_components(k8s, "ingress", of="base"))
    place.apply(kustomize(k8s / "overlays" / "production"))
    assert "ingress/tallygate" in place.names()


def test_delete_by_label_leaves_namespace_and_claims(place: Place, k8s: Path) -> None:
    """The command of docs/deploy.md; claims of a StatefulSet are its controller's, here made by hand."""
    place.apply(with_components(k8s, "back-up"))
    place.apply([_claim("data-redis-0")])
    place.kubernetes.do(
        "delete", "--kustomize", k8s / "overlays" / "with-back-up",
        "--selector", "app.kubernetes.io/part-of=tallygate",
    )  # fmt: skip
    left = place.names()
    assert left == {
        "persistentvolumeclaim/data-redis-0",
        "persistentvolumeclaim/back-ups",
        "networkpolicy/default-deny",
    }
    assert "Active" in place.kubernetes.do("get", "namespace", "tallygate")


def _claim(name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "tallygate"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
