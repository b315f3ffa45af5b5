"""Manifests and chart on a real API server: accepted without a warning, and stored as they were sent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import OVERLAYS, Document, kustomize, the, with_components
from tests.deploy.helm import chart
from tests.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow
Render = Callable[[Path], list[Document]]
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tallygate"}}
DEFAULT_ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "default", "namespace": "tallygate"},
}
"""A controller makes it in each namespace."""
WAYS_IN = ("ingress", "gateway-traefik", "gateway-envoy", "gateway-ingress-nginx")


def of_overlay(name: str) -> Render:
    return lambda k8s: kustomize(k8s / "overlays" / name)


def of_components(*names: str) -> Render:
    return lambda k8s: with_components(k8s, *names, of="base")


def of_chart(*values: str) -> Render:
    """In a namespace: the chart makes none, and names none."""
    return lambda k8s: [NAMESPACE, *(_within(document) for document in chart(*values))]


def _within(document: Document) -> Document:
    return document | {"metadata": document["metadata"] | {"namespace": "tallygate"}}


RENDERED: dict[str, Render] = {
    **{name: of_overlay(name) for name in OVERLAYS},
    **{name: of_components(name) for name in WAYS_IN},
    "all that production may have": of_components(
        "autoscaling", "traefik", "monitoring", "back-up", "external-secret", "existing-secret"
    ),
    "the example of a Gateway": lambda k8s: kustomize(k8s / "gateway"),
    "the chart": of_chart(),
    "the chart with an Ingress": of_chart(
        'wayIn={"kind":"Ingress","namespace":"nginx"}', "serviceMonitor.enabled=true"
    ),
}


@dataclass
class Applied:
    """Manifests on the server."""

    sent: list[Document]
    unknown: set[str]
    """Kinds that the server does not know, and which were not sent."""


@pytest.fixture(scope="module", params=RENDERED)
def applied(request: pytest.FixtureRequest, kubernetes: Cluster, k8s: Path) -> Iterator[Applied]:
    rendered = RENDERED[request.param](k8s)
    known = kubernetes.kinds()
    sent = [document for document in rendered if (document["apiVersion"], document["kind"]) in known]
    kubernetes.apply(sent)
    kubernetes.apply(sent)  # only now managed fields are complete, and defaults of custom resources stored
    yield Applied(sent, {document["kind"] for document in rendered if document not in sent})
    kubernetes.delete(sent)


def test_server_stores_what_was_sent(applied: Applied, kubernetes: Cluster) -> None:
    """A value in another form than the server's own is a difference at each look of a GitOps controller."""
    stored = {_name(document): document for document in kubernetes.stored(applied.sent)}
    assert [line for sent in applied.sent for line in differences(sent, stored[_name(sent)], sent["kind"])] == []


def test_another_apply_changes_nothing(applied: Applied, kubernetes: Cluster) -> None:
    before = kubernetes.stored(applied.sent)
    kubernetes.apply(applied.sent)
    assert _versions(kubernetes.stored(applied.sent)) == _versions(before)


def test_namespace_lets_the_pods_in(applied: Applied, kubernetes: Cluster) -> None:
    """Those that controllers would make, under the restricted Pod Security Standard."""
    kubernetes.apply([DEFAULT_ACCOUNT])
    for document in applied.sent:
        if (spec := pod_spec(document)) is not None:
            kubernetes.do("create", "--dry-run=server", "--filename", "-", stdin=[a_pod(spec)])


def test_server_knows_every_kind(applied: Applied) -> None:
    if applied.unknown:
        pytest.skip(f"KUBE_BIN has no definition in crds/ of {', '.join(sorted(applied.unknown))}")


def test_namespace_refuses_a_pod_with_rights(kubernetes: Cluster, k8s: Path) -> None:
    base = kustomize(k8s / "base")
    kubernetes.apply([the("Namespace", "tallygate", base), the("ServiceAccount", "tallygate", base)])
    spec = pod_spec(the("Deployment", "tallygate", base))
    assert spec is not None
    for right in ({"hostNetwork": True}, {"securityContext": {"runAsNonRoot": False}}):
        refused = kubernetes.ask("create", "--dry-run=server", "--filename", "-", stdin=[a_pod(spec | right)])
        assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def a_pod(spec: Document) -> Document:
    metadata = {"name": "a-pod", "namespace": "tallygate"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pod_spec(workload: Document) -> Document | None:
    """Of the pods of a workload, with the volumes that a StatefulSet claims; None of any other object."""
    spec = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload.get("spec", {})
    if "template" not in spec or workload["kind"] == "ExternalSecret":
        return None
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims]
    pod: Document = spec["template"]["spec"]
    return pod | {"volumes": [*pod.get("volumes", []), *volumes]}


def differences(sent: Any, stored: Any, path: str) -> list[str]:
    """What was sent and is not stored, or in other words; what the server adds by itself is none."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [line for key in sent for line in differences(sent[key], stored.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        pairs = enumerate(zip(sent, stored, strict=True))
        return [line for n, (one, other) in pairs for line in differences(one, other, f"{path}[{n}]")]
    return [] if sent == stored else [f"{path}: sent {sent!r}, stored {stored!r}"]


def _name(document: Document) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def _versions(documents: list[Document]) -> dict[tuple[str, str], str]:
    return {_name(document): document["metadata"]["resourceVersion"] for document in documents}
