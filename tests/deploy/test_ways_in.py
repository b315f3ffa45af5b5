"""The two ways in from outside the cluster, of which an overlay chooses one: an Ingress, or a Gateway API HTTPRoute."""

from pathlib import Path

import pytest

from app.web.cookies import MAX_COOKIE_BYTES
from tests.deploy.files import Document, kustomize, text, the

INGRESS_NAMESPACE = "kubernetes.io/metadata.name"
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: tallygate
resources: [../../base]
components: [../../components/httproute]
"""


@pytest.fixture(scope="module")
def by_gateway(k8s: Path) -> list[Document]:
    folder = k8s / "overlays" / "by-gateway"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(OVERLAY, "utf-8")
    return kustomize(folder)


def test_the_ingress_sends_every_path_of_its_host_to_the_service(production: list[Document]) -> None:
    spec = the("Ingress", "tallygate", production)["spec"]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert path["backend"]["service"] == {"name": "tallygate", "port": {"name": "http"}}
    assert "http" in _ports(production)


def test_the_host_is_the_same_wherever_it_is_named(production: list[Document]) -> None:
    spec = the("Ingress", "tallygate", production)["spec"]
    (rule,) = spec["rules"]
    (tls,) = spec["tls"]
    settings = the("ConfigMap", "tallygate-settings", production)["data"]
    assert [rule["host"]] == tls["hosts"] == [settings["TALLYGATE_ALLOWED_HOSTS"]]


def test_a_head_with_the_largest_cookie_comes_through(production: list[Document]) -> None:
    """The head of an answer has to fit into 4 KB unless nginx is told otherwise: to a larger one it answers 502."""
    annotations = the("Ingress", "tallygate", production)["metadata"]["annotations"]
    told = annotations["nginx.ingress.kubernetes.io/proxy-buffer-size"]
    assert f"proxy_buffer_size {told};" in text("deploy/nginx/tallygate.conf")
    assert int(told.removesuffix("k")) * 1024 >= MAX_COOKIE_BYTES + 2048


def test_the_http_route_sends_every_path_of_its_host_to_the_service(by_gateway: list[Document]) -> None:
    """Kubernetes' own schemas know nothing of the Gateway API: this says what its version 1 demands."""
    route = the("HTTPRoute", "tallygate", by_gateway)
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"].keys() == {"parentRefs", "hostnames", "rules"}
    assert all(parent.keys() == {"name", "namespace"} for parent in route["spec"]["parentRefs"])
    (rule,) = route["spec"]["rules"]
    assert rule == {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "timeouts": {"request": "0s"},
        "backendRefs": [{"name": "tallygate", "port": 80}],
    }
    assert 80 in _ports(by_gateway).values()


def test_only_the_chosen_way_in_may_reach_the_pods(production: list[Document], by_gateway: list[Document]) -> None:
    assert _may_ask(production) == "ingress-nginx"
    assert _may_ask(by_gateway) == "envoy-gateway-system"
    assert not [document for document in by_gateway if document["kind"] == "Ingress"]


def _ports(documents: list[Document]) -> dict[str, int]:
    return {port["name"]: port["port"] for port in the("Service", "tallygate", documents)["spec"]["ports"]}


def _may_ask(documents: list[Document]) -> str:
    """The namespace from which requests may come."""
    (rule,) = (
        rule
        for rule in the("NetworkPolicy", "tallygate", documents)["spec"]["ingress"]
        if rule["ports"] == [{"port": "http"}]
    )
    namespace: str = rule["from"][0]["namespaceSelector"]["matchLabels"][INGRESS_NAMESPACE]
    return namespace
