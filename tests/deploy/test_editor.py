"""The dev container and VS Code's files name what exists."""

import importlib.util
import os
import re
import subprocess
from pathlib import PurePosixPath
from typing import Any

import pytest

from app.settings import PREFIX
from tests.deploy.files import is_setting, jsonc, make_targets, text, yaml_of
from tests.helpers.service import ROOT

EXTENSION = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")


@pytest.fixture(scope="module")
def devcontainer() -> dict[str, Any]:
    content: dict[str, Any] = jsonc(".devcontainer/devcontainer.json")
    return content


@pytest.fixture(scope="module")
def workspace(devcontainer: dict[str, Any]) -> dict[str, Any]:
    """The dev container as Compose knows it."""
    service: dict[str, Any] = yaml_of(".devcontainer/compose.yaml")["services"][devcontainer["service"]]
    return service


@pytest.fixture(scope="module")
def launches() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in jsonc(".vscode/launch.json")["configurations"]}


def test_what_the_dev_containers_redis_takes_from_the_other_file_is_defined() -> None:
    own, redis = yaml_of(".devcontainer/compose.yaml"), yaml_of("compose.yaml")["services"]["redis"]
    assert set(redis["secrets"]) <= own["secrets"].keys()
    assert set(redis["networks"]) <= own["networks"].keys()
    assert {volume.partition(":")[0] for volume in redis["volumes"]} <= own["volumes"].keys()
    for secret in own["secrets"].values():
        assert (ROOT / ".devcontainer" / secret["file"]).read_text() == ""


def test_the_workspace_is_mounted_where_the_editor_opens_it(
    devcontainer: dict[str, Any], workspace: dict[str, Any]
) -> None:
    folder = devcontainer["workspaceFolder"]
    assert f"..:{folder}" in workspace["volumes"]
    assert workspace["volumes"] == [f"..:{folder}"], "a volume more would stay after each rebuild"
    assert f"WORKDIR {folder}" in text("Dockerfile")


def test_the_dev_container_is_the_dev_stage_and_its_user_is_not_root(
    devcontainer: dict[str, Any], workspace: dict[str, Any]
) -> None:
    assert workspace["build"] == {"context": "..", "target": "dev"}
    user = devcontainer["remoteUser"]
    assert re.search(rf"useradd --uid [1-9]\d+ .* {user} ", text("Dockerfile"))
    assert PurePosixPath("/home", user) in PurePosixPath(devcontainer["workspaceFolder"]).parents


def test_dev_container_uses_the_production_redis(workspace: dict[str, Any]) -> None:
    services = yaml_of(".devcontainer/compose.yaml")["services"]
    assert services["redis"] == {"extends": {"file": "../compose.yaml", "service": "redis"}}
    assert workspace["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert workspace["environment"][f"{PREFIX}REDIS_URL"] == "redis://redis:6379/0"
    assert all(is_setting(name) for name in workspace["environment"] if name.startswith(PREFIX))


def test_clones_side_by_side_share_no_name_and_no_port(workspace: dict[str, Any]) -> None:
    """A project without a name has that of its folder; a port without a number is a free one."""
    assert "name" not in yaml_of(".devcontainer/compose.yaml")
    assert not {"image", "container_name"} & workspace.keys()
    assert all(re.fullmatch(r"127\.0\.0\.1::\d+", port) for port in workspace["ports"])


def test_dev_container_runs_nothing_on_the_host(devcontainer: dict[str, Any]) -> None:
    """Its shell would be cmd.exe on Windows."""
    assert "initializeCommand" not in devcontainer


def test_dev_container_command_is_a_make_target(devcontainer: dict[str, Any]) -> None:
    program, target = devcontainer["postCreateCommand"].split()
    assert program == "make"
    assert target in make_targets()


def test_every_forwarded_port_has_a_name(devcontainer: dict[str, Any]) -> None:
    named = devcontainer["portsAttributes"]
    assert {str(port) for port in devcontainer["forwardPorts"]} <= named.keys()
    assert all(attributes["label"] for attributes in named.values())


def test_tasks_are_commands_of_make() -> None:
    tasks = {task["label"]: task["command"] for task in jsonc(".vscode/tasks.json")["tasks"]}
    assert tasks.keys() == {"run", "test", "check", "bench", "lock"}
    assert tasks == {label: f"make {label}" for label in tasks}
    assert tasks.keys() <= make_targets()


def test_launch_configurations_import(launches: dict[str, dict[str, Any]]) -> None:
    modules = [entry["module"] for entry in launches.values() if entry["request"] == "launch"]
    assert modules == ["uvicorn", "pytest"]
    assert all(importlib.util.find_spec(module) for module in [*modules, "debugpy"])


def test_the_debugged_server_reloads_as_make_dev_does(launches: dict[str, dict[str, Any]]) -> None:
    (command,) = (line for line in _made("dev").replace("\\\n", " ").splitlines() if "uvicorn" in line)
    words = command.replace("'", "").split()
    reloading = words[words.index("app.main:app") :]
    assert launches["Server, with reload"]["args"] == reloading
    in_the_container = yaml_of("compose.yaml")["services"]["debug"]["command"]
    assert in_the_container[in_the_container.index("app.main:app") :] == [*reloading, "--host", "0.0.0.0"]


def test_the_debugger_attaches_to_the_container_that_compose_starts(launches: dict[str, dict[str, Any]]) -> None:
    attach = launches["Attach to the container"]
    debug = yaml_of("compose.yaml")["services"]["debug"]
    port = attach["connect"]["port"]
    assert f"0.0.0.0:{port}" in debug["command"]
    assert debug["ports"][0] == f"127.0.0.1:${{DEBUG_PORT:-{port}}}:{port}"
    (mapping,) = attach["pathMappings"]
    assert mapping["localRoot"] == "${workspaceFolder}"
    assert f"./app:{mapping['remoteRoot']}/app:ro" in debug["volumes"]


def test_the_interpreter_is_the_one_that_make_makes() -> None:
    local = jsonc(".vscode/settings.json")["python.defaultInterpreterPath"]
    inside = jsonc(".devcontainer/devcontainer.json")
    assert local == "${workspaceFolder}/.venv/bin/python"
    (environment,) = re.findall(r"^ENV VENV=(\S+)", text("Dockerfile"), re.MULTILINE)
    assert (
        inside["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"] == f"{environment}/bin/python"
    )
    assert _made("install", VENV=environment).count(f"{environment}/dev.done") > 0
    assert ".venv/dev.done" in _made("install")


def test_the_settings_find_the_tests_and_the_environment() -> None:
    settings = jsonc(".vscode/settings.json")
    assert settings["python.testing.pytestEnabled"] is True
    assert all((ROOT / argument).is_dir() for argument in settings["python.testing.pytestArgs"])
    assert settings["python.envFile"] == "${workspaceFolder}/.env"
    assert settings["editor.formatOnSave"] is True


def test_used_extensions_are_recommended(devcontainer: dict[str, Any]) -> None:
    recommended = set(jsonc(".vscode/extensions.json")["recommendations"])
    assert all(EXTENSION.fullmatch(name) for name in recommended)
    assert set(devcontainer["customizations"]["vscode"]["extensions"]) <= recommended
    assert jsonc(".vscode/settings.json")["[python]"]["editor.defaultFormatter"] in recommended
    assert "ms-python.debugpy" in recommended


def test_a_debugged_test_keeps_its_children_to_itself(launches: dict[str, dict[str, Any]]) -> None:
    """Debugpy writes to the standard error of the children that it follows."""
    assert launches["This test file"]["subProcess"] is False


def _made(target: str, **environment: str) -> str:
    """What make would do anew for the target."""
    plain = {"PATH": os.environ["PATH"]}  # without what the `make test ARGS=...` around this one hands down
    command = ["make", "--dry-run", "--always-make", target]
    return subprocess.run(command, cwd=ROOT, env=plain | environment, capture_output=True, text=True, check=True).stdout
