"""compose.yaml and the nginx before it, read without an engine; tests/containers runs them."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from app.observability import health
from app.settings import Settings
from tests.deploy.files import PINNED, VARIABLE, is_setting, text, yaml_of
from tests.helpers.service import ROOT

DEFAULT = re.compile(r"\$\{\w+:-((?:[^{}]|\$\{[^{}]*\})*)\}")
"""`${NAME:-default}`, where the default may hold another."""
OURS = {"tallygate", "tallygate-dev"}


def plain(value: Any) -> Any:
    """A value of the file with its defaults for variables that are not set."""
    while isinstance(value, str) and DEFAULT.search(value):
        value = DEFAULT.sub(r"\1", value)
    return value


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml_of("compose.yaml")
    return content


def test_secrets_are_read_from_files_that_are_mounted(compose: dict[str, Any]) -> None:
    for name in ("app", "back-up"):
        service = compose["services"][name]
        files = {key: value for key, value in service["environment"].items() if key.endswith("_FILE")}
        wanted = {
            f"TALLYGATE_{each.upper()}_FILE": f"${{{each.upper()}_FILE:+/run/secrets/{each}}}"
            for each in service["secrets"]
        }
        assert files == wanted
    for secret in compose["services"]["app"]["secrets"]:
        assert compose["secrets"][secret] == {"file": f"${{{secret.upper()}_FILE:-./deploy/no-secret}}"}
    assert "smtp_password" in compose["services"]["app"]["secrets"]


@pytest.mark.parametrize("profile", ["", "nginx", "tools", "debug"])
def test_compose_itself_accepts_the_file(profile: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no `docker compose` here to ask")
    command = [docker, "compose", "--profile", profile, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_image_is_pinned_or_ours(compose: dict[str, Any]) -> None:
    images = {plain(service["image"]) for service in compose["services"].values()}
    assert [image for image in images - OURS if not PINNED.fullmatch(image)] == []


def test_named_settings_exist() -> None:
    assert [name for name in VARIABLE.findall(text("compose.yaml")) if not is_setting(name)] == []


def test_plain_up_is_the_service_and_its_store(compose: dict[str, Any]) -> None:
    assert {name for name, service in compose["services"].items() if "profiles" not in service} == {"app", "redis"}


def test_compose_services_wait_for_health(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, needed in service.get("depends_on", {}).items():
            assert needed == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][name]


def test_the_health_check_asks_a_route_that_exists(compose: dict[str, Any]) -> None:
    *command, path = compose["services"]["app"]["healthcheck"]["test"]
    assert command == ["CMD", "probe"]
    assert path == "/ready"
    assert path in {route.path for route in health.routes}


def test_compose_ports_are_local_by_default(compose: dict[str, Any]) -> None:
    """In development, which is the default, everybody knows the secret key."""
    ports = [(name, plain(port)) for name, s in compose["services"].items() for port in s.get("ports", [])]
    assert [name for name, port in ports if not port.startswith("127.0.0.1:")] == []
    assert "redis" not in dict(ports)


def test_ports_agree(compose: dict[str, Any]) -> None:
    app = compose["services"]["app"]
    assert plain(app["ports"][0]).endswith(f":{app['environment']['TALLYGATE_PORT']}")
    assert f"server app:{app['environment']['TALLYGATE_PORT']};" in text("deploy/nginx/tallygate.conf")
    inside = plain(compose["services"]["nginx"]["ports"][0]).rpartition(":")[2]
    assert f"listen {inside};" in text("deploy/nginx/tallygate.conf")


def test_store_is_durable_and_private(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    assert "appendonly yes" in redis["command"][-1].splitlines()
    assert redis["volumes"] == ["redis_data:/data"]
    assert "redis_data" in compose["volumes"]
    assert compose["networks"]["store"] == {"internal": True}
    assert redis["networks"] == ["store"]


@pytest.mark.parametrize("name", ["app", "redis", "nginx"])
def test_production_containers_have_few_rights(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_nginx_is_a_trusted_proxy(compose: dict[str, Any]) -> None:
    believed = plain(compose["services"]["app"]["environment"]["TALLYGATE_TRUSTED_PROXIES"])
    assert believed == "dns:nginx"
    assert "nginx" in compose["services"]


def test_projects_side_by_side_share_no_address(compose: dict[str, Any]) -> None:
    assert not [name for name, network in compose["networks"].items() if "ipam" in (network or {})]
    assert not [name for name, service in compose["services"].items() if "container_name" in service]


def test_nginx_serves_a_folder_that_it_cannot_write(compose: dict[str, Any]) -> None:
    mounts = [plain(volume).split(":") for volume in compose["services"]["nginx"]["volumes"]]
    assert all(mode == "ro" for *_, mode in mounts)
    assert all((ROOT / here).exists() for here, *_ in mounts)
    folders = {there for _, there, _ in mounts}
    assert set(re.findall(r"root (\S+);", text("deploy/nginx/tallygate.conf"))) <= folders


def test_nginx_lets_through_bodies_of_the_size_that_the_service_takes() -> None:
    assert "client_max_body_size 1m;" in text("deploy/nginx/tallygate.conf")
    assert Settings.model_fields["max_body_bytes"].default == 1024 * 1024
