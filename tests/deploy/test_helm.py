"""The Helm chart gives the objects that kustomize gives."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import Document, kustomize, the, with_components
from tests.deploy.helm import CHART, chart, helm

GENERATED = re.compile(r"^(tallygate-settings|redis-config)-[a-z0-9]{10}$")


def comparable(documents: list[Document]) -> dict[tuple[str, str], Any]:
    """The objects by kind and name, without what only one of the two tools writes: namespaces, hashes, checksums."""
    return {
        (document["kind"], _plain(document["metadata"]["name"])): _plain_all(document)
        for document in documents
        if document["kind"] != "Namespace"
    }


def _plain(text: str) -> str:
    return GENERATED.sub(r"\1", text)


def _plain_all(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: _plain_all(v) for k, v in value.items() if k != "namespace" and not str(k).startswith("checksum/")}
        return {k: v for k, v in kept.items() if v != {} or k != "annotations"}
    if isinstance(value, list):
        return [_plain_all(item) for item in value]
    if isinstance(value, str):
        return "\n".join(line for line in _plain(value).splitlines() if not line.startswith("#"))
    return value


def test_helm_equals_the_production_overlay(production: list[Document]) -> None:
    assert comparable(chart()) == comparable(production)


def test_helm_equals_the_components(k8s: Path, by_ingress: list[Document]) -> None:
    made = comparable(chart('wayIn={"kind":"Ingress","namespace":"ingress-nginx"}', "serviceMonitor.enabled=true"))
    assert ("HTTPRoute", "tallygate") not in made
    expected = comparable(by_ingress) | comparable(with_components(k8s, "monitoring"))
    for key in [
        ("Ingress", "tallygate"),
        ("NetworkPolicy", "acme-solver"),
        ("Service", "tallygate-metrics"),
        ("ServiceMonitor", "tallygate"),
    ]:
        assert made[key] == expected[key]
    assert made["NetworkPolicy", "tallygate"] == comparable(by_ingress)["NetworkPolicy", "tallygate"]


def test_external_redis_deploys_no_redis(k8s: Path) -> None:
    rule = '[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"port":6379},{"port":6380},{"port":26379}]}]'
    made = chart("redis.enabled=false", f"redis.egress={rule}")
    external = kustomize(k8s / "overlays" / "external-redis")
    assert comparable(made).keys() == comparable(external).keys()
    policies = [comparable(documents)["NetworkPolicy", "tallygate"]["spec"]["egress"] for documents in (made, external)]
    assert policies[0] == policies[1]


def test_values_reach_the_pods() -> None:
    made = chart(
        'existingSecret="vault"',
        'extraEnv=[{"name":"TALLYGATE_LOG_LEVEL","value":"debug"}]',
        'settings={"TALLYGATE_WORKERS":2}',
        "autoscaling.enabled=false",
        "replicas=5",
    )
    deployment = the("Deployment", "tallygate", made)["spec"]
    assert deployment["replicas"] == 5
    pod = deployment["template"]["spec"]
    assert pod["containers"][0]["env"][1:] == [{"name": "TALLYGATE_LOG_LEVEL", "value": "debug"}]
    assert [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v] == ["vault"]
    assert the("ConfigMap", "tallygate-settings", made)["data"]["TALLYGATE_WORKERS"] == "2"


@pytest.mark.parametrize(
    "value",
    [
        "replicas=0",
        'existingSecret=""',
        'wayIn.kind="Door"',
        'settings={"PORT":"1"}',
        'redis.maxmemory="lots"',
        "typo=1",
    ],
)
def test_unknown_helm_values_are_refused(value: str) -> None:
    done = helm("template", "tallygate", str(CHART), "--kube-version", "1.33.0", "--set-json", value)
    assert done.returncode != 0
    assert "values.schema.json" in done.stderr or "don't meet the specifications of the schema" in done.stderr


def test_helm_lint_passes() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout
