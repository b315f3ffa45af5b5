"""CI for the owner's repository."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from tests.deploy.files import make_targets, text, yaml_of
from tests.helpers.service import ROOT

WORKFLOWS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / ".github/workflows").glob("*.yml"))


def steps(workflow: str) -> Iterator[dict[str, Any]]:
    for job in yaml_of(workflow)["jobs"].values():
        yield from job["steps"]


def commands() -> str:
    return "\n".join(step["run"] for workflow in WORKFLOWS for step in steps(workflow) if "run" in step)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_action_is_pinned_to_a_commit_and_says_its_version(workflow: str) -> None:
    used = re.findall(r"uses: (.*)", text(workflow))
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_workflow_permissions_are_read_only(workflow: str) -> None:
    assert yaml_of(workflow)["permissions"] == {"contents": "read"}
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_commands_of_make_that_ci_calls_exist() -> None:
    called = set(re.findall(r"make ([a-z-]+)", commands()))
    assert {"check", "test", "test-containers"} <= called <= make_targets()


def test_workflow_tests_every_supported_python() -> None:
    versions = yaml_of(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={versions[0]}"' in text("pyproject.toml")


def test_baked_targets_exist() -> None:
    baked = set(re.findall(r'^target "(\w+)"', text("docker-bake.hcl"), flags=re.MULTILINE))
    asked = {step["with"]["targets"] for w in WORKFLOWS for step in steps(w) if "bake-action" in step.get("uses", "")}
    assert asked <= baked
    built = set(re.findall(r'^  target *= "(\w+)"', text("docker-bake.hcl"), flags=re.MULTILINE))
    assert all(f" AS {stage}\n" in text("Dockerfile") for stage in built)


def test_version_is_the_same_everywhere() -> None:
    assert f'version = "{__version__}"' in text("pyproject.toml")
    assert f"ARG VERSION={__version__}\n" in text("Dockerfile")
    assert f'default = "{__version__}"' in text("docker-bake.hcl")
    assert f"image: tallygate:{__version__}\n" in text("k8s/base/app/deployment.yaml")
    assert yaml_of("deploy/helm/Chart.yaml")["appVersion"] == __version__
    assert f"newTag: {__version__}\n" in text("k8s/overlays/production/kustomization.yaml")


def release(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", folder / "deploy" / "release.sh", *arguments], capture_output=True, text=True, check=False
    )


def test_a_release_waits_for_the_tests_and_has_the_version_of_its_source() -> None:
    assert yaml_of(".github/workflows/release.yml")["jobs"]["image"]["needs"] == "test"
    assert release("check", f"v{__version__}").returncode == 0
    wrong = release("check", "v99.0.0")
    assert wrong.returncode == 1
    assert "the tag is v99.0.0" in wrong.stderr


@pytest.mark.parametrize(
    ("tag", "latest"), [("v1.10.0", "true"), ("v1.9.1", "false"), ("v2.0.0-rc.1", "false"), ("v1.2.0", "false")]
)
def test_latest_is_the_newest_release(tmp_path: Path, tag: str, latest: str) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "release.sh", tmp_path / "deploy")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "x"], check=True)
    for name in ("v1.2.0", "v1.9.1", "v1.10.0", "v2.0.0-rc.1"):
        subprocess.run([*git, "tag", name], check=True)
    assert release("latest", tag, folder=tmp_path).stdout.strip() == latest


def test_every_place_with_a_pinned_image_is_watched() -> None:
    watched = [
        entry for entry in yaml_of(".github/dependabot.yml")["updates"] if entry["package-ecosystem"] == "docker"
    ]
    folders = {folder for entry in watched for folder in entry.get("directories", [entry.get("directory")])}
    assert all((ROOT / folder.removeprefix("/")).is_dir() for folder in folders)
    pinned = {path.parent for path in (ROOT / "k8s").rglob("*.yaml") if re.search(r"image: redis:", path.read_text())}
    assert {f"/{folder.relative_to(ROOT).as_posix()}" for folder in pinned} <= folders
