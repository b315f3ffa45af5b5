"""What an overlay may add: where the secret comes from, back-ups, monitoring."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest

from app.cli import back_up
from app.cli.main import parse
from app.settings import Settings
from tests.deploy.files import CUSTOM, SECRET_FILE, Document, kustomize, the, with_components
from tests.helpers.service import running

METRIC = re.compile(r"\b(?:tallygate|process)_[a-z_]+")


def valid(documents: list[Document]) -> list[Document]:
    for document in documents:
        if not document["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(document, "1.33", strict=True)
    return documents


def mounted_secret(documents: list[Document]) -> str:
    pod = the("Deployment", "tallygate", documents)["spec"]["template"]["spec"]
    (name,) = (volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume)
    return str(name)


def secrets(workload: Document) -> set[str]:
    """The names of all Secrets that a workload's pods mount or read variables from."""
    pod = workload["spec"].get("jobTemplate", workload)["spec"]["template"]["spec"]
    variables = [variable.get("valueFrom", {}) for c in pod["containers"] for variable in c.get("env", [])]
    return {volume["secret"]["secretName"] for volume in pod.get("volumes", []) if "secret" in volume} | {
        source["secretKeyRef"]["name"] for source in variables if "secretKeyRef" in source
    }


@pytest.mark.slow
def test_secret_comes_from_kubernetes_a_vault_or_a_file(k8s: Path, production: list[Document]) -> None:
    assert mounted_secret(production) == "tallygate-secrets"
    assert mounted_secret(valid(with_components(k8s, "existing-secret"))) == "tallygate"
    external = valid(with_components(k8s, "external-secret"))
    assert the("ExternalSecret", "tallygate-secrets", external)["spec"]["target"]["name"] == mounted_secret(external)
    (k8s / SECRET_FILE).parent.mkdir(exist_ok=True)
    (k8s / SECRET_FILE).write_text("k" * 64, "utf-8")
    from_file = valid(with_components(k8s, "secret-file"))
    secret = the("Secret", "tallygate-secrets", from_file)
    assert secret["data"].keys() == {"secret-key"}
    assert secret["metadata"]["name"] == mounted_secret(from_file)


def test_an_existing_secret_reaches_every_workload(k8s: Path) -> None:
    documents = valid(with_components(k8s, "back-up", "existing-secret"))
    workloads = [d for d in documents if d["kind"] in ("Deployment", "StatefulSet", "CronJob")]
    assert {d["kind"]: secrets(d) for d in workloads} == {
        "Deployment": {"tallygate"},
        "StatefulSet": {"tallygate"},
        "CronJob": {"tallygate"},
    }


def test_a_back_up_runs_a_command_that_exists_and_reaches_the_store_alone(k8s: Path) -> None:
    documents = valid(with_components(k8s, "back-up", of="base"))
    job = the("CronJob", "back-up", documents)["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = job["spec"]["containers"]
    assert container["args"][:3] == ["python", "-m", "app"]
    command, invocation = parse(container["args"][3:])
    assert command is back_up.command
    assert invocation.options.folder in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert (
        container["image"]
        == the("Deployment", "tallygate", documents)["spec"]["template"]["spec"]["containers"][0]["image"]
    )
    labels = job["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] != "tallygate", "the Service would send it requests"
    (store,) = the("NetworkPolicy", "redis", documents)["spec"]["ingress"]
    allowed = [peer["podSelector"]["matchLabels"].items() <= labels.items() for peer in store["from"]]
    assert allowed == [False, True]


def test_the_monitor_selects_the_service_of_the_metrics(k8s: Path) -> None:
    documents = valid(with_components(k8s, "monitoring"))
    monitor = the("ServiceMonitor", "tallygate", documents)["spec"]
    service = the("Service", "tallygate-metrics", documents)
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= {p["name"] for p in service["spec"]["ports"]}
    others = [d for d in documents if d["kind"] == "Service" and d is not service]
    assert not [s for s in others if monitor["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]


async def test_alerts_and_dashboard_ask_for_metrics_that_exist(
    k8s: Path, make_settings: Callable[..., Settings]
) -> None:
    documents = with_components(k8s, "monitoring")
    rules = the("PrometheusRule", "tallygate", documents)["spec"]["groups"][0]["rules"]
    dashboard = json.loads(the("ConfigMap", "tallygate-dashboard", documents)["data"]["tallygate.json"])
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    async with running(make_settings(metrics_token="t")) as service:
        await service.client.get("/live")
        answer = await service.client.get("/metrics", headers={"Authorization": "Bearer t"})
    existing = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert {name for expression in asked for name in METRIC.findall(expression)} <= existing


@pytest.mark.parametrize("metric", ["process_open_fds", "process_max_fds", "process_resident_memory_bytes"])
async def test_process_metrics_are_exported(make_settings: Callable[..., Settings], metric: str) -> None:
    async with running(make_settings(metrics_token="t")) as service:
        answer = await service.client.get("/metrics", headers={"Authorization": "Bearer t"})
    (value,) = re.findall(rf"^{metric} (\S+)$", answer.text, re.MULTILINE)
    assert float(value) > 0


def test_the_example_gateway_is_of_the_cluster_not_of_the_namespace(k8s: Path) -> None:
    assert {document["kind"] for document in valid(kustomize(k8s / "gateway"))} == {"Namespace", "Gateway"}
