"""CI for the owner's repository."""

import re
from collections.abc import Iterator
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
def test_a_workflow_may_read_and_no_more_unless_a_job_says_so(workflow: str) -> None:
    assert yaml_of(workflow)["permissions"] == {"contents": "read"}
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_commands_of_make_that_ci_calls_exist() -> None:
    called = set(re.findall(r"make ([a-z-]+)", commands()))
    assert {"check", "test", "test-containers"} <= called <= make_targets()


def test_the_tests_run_on_every_python_that_is_promised() -> None:
    versions = yaml_of(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={versions[0]}"' in text("pyproject.toml")


def test_what_is_baked_exists() -> None:
    baked = set(re.findall(r'^target "(\w+)"', text("docker-bake.hcl"), flags=re.MULTILINE))
    asked = {step["with"]["targets"] for w in WORKFLOWS for step in steps(w) if "bake-action" in step.get("uses", "")}
    assert asked <= baked
    built = set(re.findall(r'^  target *= "(\w+)"', text("docker-bake.hcl"), flags=re.MULTILINE))
    assert all(f" AS {stage}\n" in text("Dockerfile") for stage in built)


def test_one_version_is_said_everywhere() -> None:
    assert f'version = "{__version__}"' in text("pyproject.toml")
    assert f"ARG VERSION={__version__}\n" in text("Dockerfile")
    assert f'default = "{__version__}"' in text("docker-bake.hcl")
    assert f"image: tallygate:{__version__}\n" in text("k8s/base/app/deployment.yaml")
    assert f"newTag: {__version__}\n" in text("k8s/overlays/production/kustomization.yaml")
