"""Forward-auth in Kubernetes: each component renders, asks the right question, lets no identity of a client through."""

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from app.gateway.identity import NAMES
from tests.deploy.files import CUSTOM, Document, text, the, with_components

IDENTITY = {name.decode() for name in NAMES}
ENVOY_ASKS_WITH = {"cookie", "accept", "user-agent", "x-requested-with", "sec-fetch-mode", "x-forwarded-for",
                   "x-forwarded-proto", "upgrade"}  # fmt: skip
"""Headers on which answers depend, and which Envoy sends only if they are listed."""


def valid(documents: list[Document]) -> list[Document]:
    for document in documents:
        if not document["apiVersion"].startswith((*CUSTOM, "traefik.io/", "gateway.envoyproxy.io/")):
            kubernetes_validate.validate(document, "1.33", strict=True)
    return documents


def component(k8s: Path, name: str) -> list[Document]:
    return with_components(k8s, name, of="base")


def lowered(names: list[str]) -> set[str]:
    found = {name.lower() for name in names}
    assert len(found) == len(names), "each once"
    return found


@pytest.mark.parametrize("name", ["gateway-traefik", "gateway-envoy", "gateway-ingress-nginx"])
def test_component_renders_valid_objects_with_a_way_to_sign_in(k8s: Path, name: str) -> None:
    documents = valid(component(k8s, name))
    routes = [document for document in documents if document["kind"] in {"Ingress", "IngressRoute", "HTTPRoute"}]
    assert any("/.tallygate" in str(document) and "tallygate" in str(document) for document in routes)
    assert {document["metadata"].get("namespace") for document in routes} == {"tallygate"}


def test_traefik_deletes_then_asks_then_drops_tokens(k8s: Path) -> None:
    documents = component(k8s, "gateway-traefik")
    chain = the("Middleware", "tallygate", documents)["spec"]["chain"]["middlewares"]
    assert [each["name"] for each in chain] == ["tallygate-before", "tallygate-question", "tallygate-after"]
    before = the("Middleware", "tallygate-before", documents)["spec"]["headers"]["customRequestHeaders"]
    assert set(before.values()) == {""}
    assert lowered(list(before)) == IDENTITY
    asked = the("Middleware", "tallygate-question", documents)["spec"]["forwardAuth"]
    assert asked["address"].endswith("/verify/forward-auth")
    assert (asked["trustForwardHeader"], asked["preserveLocationHeader"]) == (False, True)
    assert lowered(asked["authResponseHeaders"]) == IDENTITY
    for route in the("IngressRoute", "wiki", documents)["spec"]["routes"]:
        is_ours = "PathPrefix(`/.tallygate/`)" in route["match"]
        assert [each["name"] for each in route.get("middlewares", [])] == ([] if is_ours else ["tallygate"])
    (portal,) = the("IngressRoute", "tallygate", documents)["spec"]["routes"]
    assert "!PathPrefix(`/verify`)" in portal["match"]


def test_envoy_gateway_asks_about_the_application_alone_and_fails_closed(k8s: Path) -> None:
    documents = component(k8s, "gateway-envoy")
    policy = the("SecurityPolicy", "wiki", documents)["spec"]
    assert policy["targetRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "wiki"}]
    asked = policy["extAuth"]
    assert (asked["failOpen"], asked["statusOnError"]) == (False, 503)
    assert lowered(asked["headersToExtAuth"]) >= ENVOY_ASKS_WITH
    assert asked["http"]["path"] == "/verify/ext-authz"
    assert lowered(asked["http"]["headersToBackend"]) == IDENTITY
    client = the("ClientTrafficPolicy", "tallygate", documents)
    assert client["spec"]["headers"]["withUnderscoresAction"] == "DropHeader"
    assert lowered(client["spec"]["headers"]["earlyRequestHeaders"]["remove"]) == IDENTITY
    (target,) = client["spec"]["targetRefs"]
    assert target["kind"] == "Gateway"


def test_ingress_nginx_asks_for_the_usual_endpoint(k8s: Path) -> None:
    wiki = the("Ingress", "wiki", component(k8s, "gateway-ingress-nginx"))
    told = {name.rpartition("/")[2]: value for name, value in wiki["metadata"]["annotations"].items()}
    assert told["auth-url"].endswith("/verify/auth-request")
    assert told["auth-signin"] == "https://$host/.tallygate/start?next=$escaped_request_uri"
    assert lowered(told["auth-response-headers"].split(",")) == IDENTITY
    ours = the("Ingress", "wiki-tallygate", component(k8s, "gateway-ingress-nginx"))
    assert "annotations" not in ours["metadata"]


def test_istio_in_the_documentation_is_complete() -> None:
    block = text("docs/gateway.md").partition("```yaml\nmeshConfig:")[2].partition("```")[0]
    (provider,) = yaml.safe_load("meshConfig:" + block)["meshConfig"]["extensionProviders"]
    asked: dict[str, Any] = provider["envoyExtAuthzHttp"]
    assert asked["pathPrefix"] == "/verify/ext-authz"
    assert ENVOY_ASKS_WITH | {"authorization"} <= lowered(asked["includeRequestHeadersInCheck"])
    assert lowered(asked["headersToUpstreamOnAllow"]) == IDENTITY
    assert {"location", "www-authenticate"} <= lowered(asked["headersToDownstreamOnDeny"])
    assert asked["statusOnError"] == "503"
