"""What the cluster gets from k8s/: valid for several versions of Kubernetes, and right in what matters."""

import re
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest

from app.observability import health
from app.settings import Settings
from app.settings.sources import SERVICE_LINK
from tests.deploy.files import CUSTOM, OVERLAYS, PINNED, Document, is_setting, kustomize, pods, the

VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")
NAMELESS = {"Namespace", "PersistentVolume"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_in_this_version_of_kubernetes(overlay: list[Document], version: str) -> None:
    for document in overlay:
        if not document["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(document, version, strict=True)


def test_every_object_is_in_the_namespace_that_enforces_the_restricted_standard(overlay: list[Document]) -> None:
    labels = the("Namespace", "tallygate", overlay)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for document in overlay:
        if document["kind"] not in NAMELESS:
            assert document["metadata"]["namespace"] == "tallygate", document["metadata"]["name"]


def test_pods_keep_to_the_restricted_standard_and_to_a_read_only_root(overlay: list[Document]) -> None:
    for pod in pods(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}


def test_no_service_link_can_set_a_setting(overlay: list[Document]) -> None:
    assert SERVICE_LINK.match("TALLYGATE_PORT=tcp://10.0.0.1:80"), "this is what the Service's name would do"
    assert all(pod["enableServiceLinks"] is False for pod in pods(overlay))


def test_probes_use_existing_paths(overlay: list[Document]) -> None:
    container = _container(overlay)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = the("ConfigMap", "tallygate-settings", overlay)["data"]
    assert ports == {
        "http": int(settings["TALLYGATE_PORT"]),
        "metrics": int(settings["TALLYGATE_METRICS_PORT"]),
    }
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["port"] for probe in probes} == {"http"}
    assert {probe["path"] for probe in probes} <= {route.path for route in health.routes}


def test_a_missing_redis_makes_pods_unready_and_restarts_none(overlay: list[Document]) -> None:
    container = _container(overlay)
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert container["startupProbe"]["httpGet"]["path"] == "/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_services_match_pods_and_ports(overlay: list[Document]) -> None:
    services = [document for document in overlay if document["kind"] == "Service"]
    for service in services:
        (workload,) = (
            d
            for d in overlay
            if d["kind"] in ("Deployment", "StatefulSet")
            and service["spec"]["selector"].items() <= d["spec"]["template"]["metadata"]["labels"].items()
        )
        names = {port["name"] for port in workload["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    assert services


def test_a_pod_leaves_by_saying_so_first(overlay: list[Document]) -> None:
    deployment = the("Deployment", "tallygate", overlay)["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = deployment["template"]["spec"]
    shell, option, script = _container(overlay)["lifecycle"]["preStop"]["exec"]["command"]
    assert (shell, option) == ("/bin/sh", "-c")
    assert script.startswith("kill -USR1 1 && ")
    seconds = int(script.rpartition(" ")[2])
    assert seconds > 2 * _container(overlay)["readinessProbe"]["periodSeconds"]
    assert pod["terminationGracePeriodSeconds"] >= seconds + 10


def test_memory_limit_holds_as_many_streams_as_a_worker_allows(overlay: list[Document]) -> None:
    """As docs/operations.md has it: 105 MB a worker, 27 KB a stream."""
    allowed = Settings.model_fields["max_streams"].default
    limit = _container(overlay)["resources"]["limits"]["memory"]
    assert 105e6 + 27e3 * allowed < int(limit.removesuffix("Mi")) * 2**20


def test_every_object_but_namespace_and_volumes_is_deleted_by_its_label(overlay: list[Document]) -> None:
    """docs/deploy.md, Deleting. What denies by default stays as long as the namespace."""
    unlabelled = {
        document["kind"] for document in overlay
        if document["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "tallygate"
    }  # fmt: skip
    assert unlabelled <= {"Namespace", "NetworkPolicy", "PersistentVolume", "PersistentVolumeClaim"}


def test_named_settings_exist(overlay: list[Document]) -> None:
    settings = the("ConfigMap", "tallygate-settings", overlay)["data"]
    assert [name for name in settings if not is_setting(name)] == []


def test_every_image_is_pinned(overlay: list[Document]) -> None:
    images = [container["image"] for pod in pods(overlay) for container in pod["containers"]]
    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_mounted_volumes_exist(overlay: list[Document]) -> None:
    for pod in pods(overlay):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for mount in pod["containers"][0]["volumeMounts"]:
            assert mount["name"] in volumes | {"data"}
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert _exists("ConfigMap", volume["configMap"]["name"], overlay)
            if "persistentVolumeClaim" in volume:
                assert _exists("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], overlay)
        assert _exists("ServiceAccount", pod["serviceAccountName"], overlay)


def test_secrets_are_files_that_the_settings_name(overlay: list[Document]) -> None:
    settings = the("ConfigMap", "tallygate-settings", overlay)["data"]
    files = {value.rpartition("/")[2] for name, value in settings.items() if name.endswith("_FILE") and value}
    assert files <= {"secret-key", "redis-url"}
    assert not [document for document in overlay if document["kind"] == "Secret"], "a fresh clone has none"
    (mount,) = (m for m in _container(overlay)["volumeMounts"] if m["name"] == "secrets")
    assert {v.rpartition("/")[0] for n, v in settings.items() if n.endswith("_FILE") and v} <= {mount["mountPath"]}


def test_base_runs_three_pods(k8s: Path) -> None:
    assert the("Deployment", "tallygate", kustomize(k8s / "base"))["spec"]["replicas"] == 3


def test_the_autoscaler_alone_decides_how_many_pods_there_are(production: list[Document]) -> None:
    assert "replicas" not in the("Deployment", "tallygate", production)["spec"]
    scaler = the("HorizontalPodAutoscaler", "tallygate", production)["spec"]
    assert scaler["minReplicas"] == 3
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tallygate"}


def test_dev_is_one_pod_with_debug_logs_and_no_secret(k8s: Path) -> None:
    dev = kustomize(k8s / "overlays" / "dev")
    assert the("Deployment", "tallygate", dev)["spec"]["replicas"] == 1
    settings = the("ConfigMap", "tallygate-settings", dev)["data"]
    assert settings["TALLYGATE_LOG_LEVEL"] == "debug"
    assert settings["TALLYGATE_ENVIRONMENT"] == "development"
    assert not [document for document in dev if document["kind"] == "Secret"]


def test_every_other_overlay_is_for_production(k8s: Path) -> None:
    for name in OVERLAYS[1:]:
        settings = the("ConfigMap", "tallygate-settings", kustomize(k8s / "overlays" / name))["data"]
        assert settings["TALLYGATE_ENVIRONMENT"] == "production"
        assert settings["TALLYGATE_ALLOWED_HOSTS"]
        route = the("HTTPRoute", "tallygate", kustomize(k8s / "overlays" / name))["spec"]
        assert route["hostnames"] == [settings["TALLYGATE_ALLOWED_HOSTS"]]


def test_redis_keeps_every_write_on_a_volume_that_outlives_it(production: list[Document]) -> None:
    config = the("ConfigMap", "redis-config", production)["data"]["redis.conf"].splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "dir /data"} <= set(config)
    redis = the("StatefulSet", "redis", production)["spec"]
    (claim,) = redis["volumeClaimTemplates"]
    mounts = redis["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": claim["metadata"]["name"], "mountPath": "/data"} in mounts
    assert redis["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_redis_refuses_writes_before_it_is_killed_for_its_memory(production: list[Document]) -> None:
    config = the("ConfigMap", "redis-config", production)["data"]["redis.conf"]
    (most,) = re.findall(r"^maxmemory (\d+)mb$", config, re.MULTILINE)
    (container,) = the("StatefulSet", "redis", production)["spec"]["template"]["spec"]["containers"]
    assert 0 < int(most) <= 0.7 * int(container["resources"]["limits"]["memory"].removesuffix("Mi"))


def test_nas_binds_claim_and_volume_by_name_and_asks_no_storage_class(k8s: Path) -> None:
    nas = kustomize(k8s / "overlays" / "nas")
    volume = the("PersistentVolume", "tallygate-nas", nas)["spec"]
    claim = the("PersistentVolumeClaim", "tallygate-nas", nas)["spec"]
    assert "storageClassName" not in volume, "the server drops an empty one"
    assert claim["storageClassName"] == ""
    assert volume["claimRef"] == {"namespace": "tallygate", "name": "tallygate-nas"}
    assert claim["volumeName"] == "tallygate-nas"
    assert volume["accessModes"] == claim["accessModes"] == ["ReadWriteMany"]
    assert "volumeClaimTemplates" not in the("StatefulSet", "redis", nas)["spec"]


def test_nas_gives_each_application_a_folder_of_its_own(k8s: Path) -> None:
    nas = kustomize(k8s / "overlays" / "nas")
    folders = []
    for pod in pods(nas):
        (volume,) = (v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v)
        folders += [m["subPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == volume]
    assert sorted(folders) == ["redis", "tallygate"]


def test_external_redis_uses_a_secret_url(k8s: Path) -> None:
    external = kustomize(k8s / "overlays" / "external-redis")
    assert not [d for d in external if "redis" in d["metadata"]["name"]]
    settings = the("ConfigMap", "tallygate-settings", external)["data"]
    assert settings["TALLYGATE_REDIS_URL"] == "", "the image's own would win over the file"
    assert settings["TALLYGATE_REDIS_URL_FILE"].endswith("/redis-url")


def _container(documents: list[Document]) -> Document:
    container: Document = the("Deployment", "tallygate", documents)["spec"]["template"]["spec"]["containers"][0]
    return container


def _exists(kind: str, name: str, documents: list[Document]) -> bool:
    return any((d["kind"], d["metadata"]["name"]) == (kind, name) for d in documents)
