"""The manifests' core, run by `podman kube play`: as the cluster gets it, but for what podman does not know."""

import re
import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.containers.engine import Container, docker, free_port, network, run, until
from tests.deploy.files import Document, kustomize, the
from tests.helpers.service import ROOT


def as_pod(statefulset: Document) -> list[Document]:
    """For podman, which knows no StatefulSet: its one pod, named as its Service would be, and its claim."""
    spec = statefulset["spec"]
    template: dict[str, Any] = spec["template"]
    (claim,) = spec["volumeClaimTemplates"]
    template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "redis-data"}})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": "redis"}}
    return [claim | {"metadata": {"name": "redis-data"}}, pod | {"spec": template["spec"]}]


@pytest.fixture
def played(image: str, tmp_path: Path) -> Iterator[tuple[Container, str, Path]]:
    """(the service, its network, the file that was played)."""
    if shutil.which("podman") is None:
        pytest.skip("there is no podman here to play the manifests")
    documents = deepcopy(kustomize(ROOT / "k8s" / "overlays" / "dev"))
    deployment = the("Deployment", "tallygate", documents)
    port = free_port()
    (service,) = deployment["spec"]["template"]["spec"]["containers"]
    service["image"] = image
    service["ports"][0]["hostPort"] = port
    configs = [document for document in documents if document["kind"] == "ConfigMap"]
    file = tmp_path / "played.yaml"
    file.write_text(
        yaml.safe_dump_all([*configs, *as_pod(the("StatefulSet", "redis", documents)), deployment]), "utf-8"
    )
    with network() as name:
        run("podman", "kube", "play", "--network", name, file)
        try:
            yield Container("tallygate-pod-tallygate", port), name, file
        finally:
            run("podman", "kube", "down", "--force", file, check=False)  # it misses the volumes of unused ConfigMaps


def test_manifests_run_and_keep_counts(played: tuple[Container, str, Path]) -> None:
    service, name, file = played
    service.ready()
    assert [service.visit() for _ in range(3)] == [1, 2, 3]
    assert service.exec("id", "-u").stdout.strip() == "10001"
    assert service.exec("touch", "/x", check=False).returncode != 0
    assert not re.search(r"TALLYGATE_PORT=tcp", service.exec("env").stdout)
    run("podman", "kube", "down", file)
    run("podman", "kube", "play", "--network", name, file)
    service.ready()
    assert service.visit() == 4


def test_manifest_commands_work(played: tuple[Container, str, Path]) -> None:
    service, _, file = played
    documents = {document["kind"]: document for document in yaml.safe_load_all(file.read_text("utf-8"))}
    (redis,) = documents["Pod"]["spec"]["containers"]
    until(lambda: docker("exec", "redis-redis", *redis["readinessProbe"]["exec"]["command"]) == "", "Redis is ready")
    assert docker("exec", "redis-redis", *redis["livenessProbe"]["exec"]["command"]) == "PONG"
    service.ready()
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    shell, option, script = container["lifecycle"]["preStop"]["exec"]["command"]
    service.exec(shell, option, re.sub(r"sleep \d+", "sleep 0", script))
    until(lambda: service.status("/ready") == 503, "/ready says 503")
    assert service.status("/live") == 200
