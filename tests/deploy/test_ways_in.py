"""The ways in from outside the cluster, of which an overlay chooses one: an HTTPRoute of a Gateway, or an Ingress."""

from pathlib import Path

from app.web.cookies import MAX_COOKIE_BYTES
from tests.deploy.files import Document, kustomize, text, the, with_components

INGRESS_NAMESPACE = "kubernetes.io/metadata.name"


def test_the_ingress_sends_every_path_of_its_host_to_the_service(by_ingress: list[Document]) -> None:
    spec = the("Ingress", "tallygate", by_ingress)["spec"]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert path["backend"]["service"] == {"name": "tallygate", "port": {"name": "http"}}
    assert "http" in _ports(by_ingress)


def test_the_host_is_the_same_wherever_it_is_named(
    k8s: Path, production: list[Document], by_ingress: list[Document]
) -> None:
    host = the("ConfigMap", "tallygate-settings", production)["data"]["TALLYGATE_ALLOWED_HOSTS"]
    (listener,) = the("Gateway", "gateway", kustomize(k8s / "gateway"))["spec"]["listeners"]
    ingress = the("Ingress", "tallygate", by_ingress)["spec"]
    hosts = {listener["hostname"], ingress["rules"][0]["host"], *ingress["tls"][0]["hosts"]}
    assert {*the("HTTPRoute", "tallygate", production)["spec"]["hostnames"], *hosts} == {host}


def test_the_example_gateway_lets_the_route_in(k8s: Path, production: list[Document]) -> None:
    gateway = the("Gateway", "gateway", kustomize(k8s / "gateway"))
    (parent,) = the("HTTPRoute", "tallygate", production)["spec"]["parentRefs"]
    assert parent == {"name": gateway["metadata"]["name"], "namespace": gateway["metadata"]["namespace"]}
    (listener,) = gateway["spec"]["listeners"]
    allowed = listener["allowedRoutes"]["namespaces"]
    assert allowed["from"] == "Selector"
    assert allowed["selector"]["matchLabels"][INGRESS_NAMESPACE] == "tallygate"


def test_nginx_accepts_the_largest_cookie(by_ingress: list[Document]) -> None:
    """The head of an answer has to fit into 4 KB unless nginx is told otherwise: to a larger one it answers 502."""
    annotations = the("Ingress", "tallygate", by_ingress)["metadata"]["annotations"]
    told = annotations["nginx.ingress.kubernetes.io/proxy-buffer-size"]
    assert f"proxy_buffer_size {told};" in text("deploy/nginx/tallygate.conf")
    assert int(told.removesuffix("k")) * 1024 >= MAX_COOKIE_BYTES + 2048


def test_the_http_route_sends_every_path_of_its_host_to_the_service(production: list[Document]) -> None:
    """Kubernetes' own schemas know nothing of the Gateway API: this says what its version 1 demands."""
    route = the("HTTPRoute", "tallygate", production)
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"].keys() == {"parentRefs", "hostnames", "rules"}
    (rule,) = route["spec"]["rules"]
    assert rule == {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "timeouts": {"request": "0s"},
        "backendRefs": [{"name": "tallygate", "port": 80}],
    }
    assert 80 in _ports(production).values()


def test_network_policy_admits_only_the_ingress(
    k8s: Path, production: list[Document], by_ingress: list[Document]
) -> None:
    by_traefik = with_components(k8s, "traefik", of="base")
    assert _may_ask(production) == "envoy-gateway-system"
    assert _may_ask(by_ingress) == "ingress-nginx"
    assert _may_ask(by_traefik) == "traefik"
    assert the("HTTPRoute", "tallygate", by_traefik)["spec"]["parentRefs"][0]["namespace"] == "traefik"
    assert not [document for document in production if document["kind"] == "Ingress"]


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
