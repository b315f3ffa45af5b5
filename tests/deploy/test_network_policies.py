"""Who may talk to whom in the cluster: what the service needs, and nothing else."""

from ipaddress import ip_address, ip_network

import pytest

from tests.deploy.files import Document, the

NAMESPACE = "kubernetes.io/metadata.name"
GITHUB, GITHUB_BY_IPV6 = "140.82.112.3", "2606:50c0:8000::64"


def test_network_policies_deny_by_default(overlay: list[Document]) -> None:
    deny = the("NetworkPolicy", "default-deny", overlay)["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in (document["spec"] for document in overlay if document["kind"] == "NetworkPolicy"):
        assert all("from" in rule and "ports" in rule for rule in policy.get("ingress", []))
        assert all("to" in rule and "ports" in rule for rule in policy.get("egress", []))


@pytest.mark.parametrize("address", [GITHUB, GITHUB_BY_IPV6])
def test_the_service_reaches_providers_by_https_alone(overlay: list[Document], address: str) -> None:
    policy = the("NetworkPolicy", "tallygate", overlay)
    assert _reaches(policy, address, 443)
    assert not _reaches(policy, address, 80)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "10.0.0.1", "192.168.1.1", "fe80::1"])
def test_egress_https_excludes_private_networks(overlay: list[Document], address: str) -> None:
    """Such as a cloud's metadata, where a provider's address that resolves to it could lead."""
    assert not _reaches(the("NetworkPolicy", "tallygate", overlay), address, 443)


def test_egress_allows_dns(overlay: list[Document]) -> None:
    (ports,) = (
        rule["ports"]
        for rule in the("NetworkPolicy", "tallygate", overlay)["spec"]["egress"]
        if rule["to"] == [{"namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}}}]
    )
    assert ports == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def test_only_the_service_reaches_redis(production: list[Document]) -> None:
    redis = the("NetworkPolicy", "redis", production)["spec"]
    service = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "tallygate"}}}
    assert redis["ingress"] == [{"from": [service], "ports": [{"port": "redis"}]}]
    assert not redis.get("egress")
    assert "Egress" in redis["policyTypes"]
    there = {"podSelector": redis["podSelector"]}
    assert {"to": [there], "ports": [{"port": 6379}]} in the("NetworkPolicy", "tallygate", production)["spec"]["egress"]


def test_acme_solver_is_reachable(by_ingress: list[Document]) -> None:
    """By HTTP-01, a pod of cert-manager in this namespace has to answer what comes in for the host."""
    solver = the("NetworkPolicy", "acme-solver", by_ingress)["spec"]
    assert solver["podSelector"] == {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}
    service = the("NetworkPolicy", "tallygate", by_ingress)["spec"]
    assert solver["ingress"] == [{"from": service["ingress"][0]["from"], "ports": [{"port": 8089}]}]


def _reaches(policy: Document, address: str, port: int) -> bool:
    return any(
        _holds(peer["ipBlock"], address)
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer and port in {entry["port"] for entry in rule["ports"]}
    )


def _holds(block: dict[str, str | list[str]], address: str) -> bool:
    excepted = any(ip_address(address) in ip_network(network) for network in block.get("except", []))
    return ip_address(address) in ip_network(str(block["cidr"])) and not excepted
