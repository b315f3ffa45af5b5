"""The Dockerfile and what it lets in, read without an engine; tests/containers builds and runs it."""

import fnmatch
import json
import re

import pytest

from app.observability import health
from tests.deploy.files import PINNED, VARIABLE, is_setting, text

PRODUCTION = "production"


def instructions(stage: str | None = None) -> list[tuple[str, str]]:
    """(instruction, arguments) of a stage, or of the whole Dockerfile; continued lines are joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text("Dockerfile"), flags=re.MULTILINE))
    lines = [line for line in joined.splitlines() if line.strip()]
    found, current = [], ""
    for name, _, arguments in (line.partition(" ") for line in lines):
        if name == "FROM":
            current = arguments.partition(" AS ")[2]
        if stage in (None, current):
            found.append((name, arguments.strip()))
    return found


def only(stage: str, instruction: str) -> str:
    (arguments,) = (found for name, found in instructions(stage) if name == instruction)
    return arguments


def test_production_is_the_default_stage() -> None:
    stages = [arguments.partition(" AS ")[2] for name, arguments in instructions() if name == "FROM"]
    assert {"base", "dev"} < set(stages)
    assert stages[-1] == PRODUCTION


def test_every_base_image_is_pinned() -> None:
    stages = {arguments.partition(" AS ")[2] for name, arguments in instructions() if name == "FROM"}
    outside = {arguments.split()[0] for name, arguments in instructions() if name == "FROM"} - stages
    assert outside
    assert [image for image in outside if not PINNED.fullmatch(image)] == []


@pytest.mark.parametrize("stage", ["dependencies", "dev"])
def test_packages_are_installed_by_hash_in_a_layer_that_depends_on_the_lock_file_alone(stage: str) -> None:
    copied = [arguments.split()[-2] for name, arguments in instructions(stage) if name == "COPY"]
    assert len(copied) == 1
    assert copied[0].startswith("requirements/")
    (install,) = (a for name, a in instructions(stage) if name == "RUN" and "pip" in a and "install" in a)
    assert "--require-hashes" in install


def test_production_runs_as_a_fixed_non_root_user() -> None:
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", only(PRODUCTION, "USER"))


def test_production_runs_in_the_foreground_without_a_shell() -> None:
    assert json.loads(only(PRODUCTION, "CMD")) == ["python", "-m", "app"]


def test_production_asks_itself_for_a_route_that_exists_and_needs_no_redis() -> None:
    options, _, command = only(PRODUCTION, "HEALTHCHECK").partition(" CMD ")
    assert "--timeout" in options
    assert json.loads(command) == ["probe", "/live"]
    assert "/live" in {route.path for route in health.routes}


def test_image_settings_exist() -> None:
    given = dict(word.split("=", 1) for word in only(PRODUCTION, "ENV").split())
    assert [name for name in given if VARIABLE.fullmatch(name) and not is_setting(name)] == []
    assert given["TALLYGATE_ENVIRONMENT"] == "production"
    assert given["TALLYGATE_PORT"] == only(PRODUCTION, "EXPOSE")
    assert given["TALLYGATE_REDIS_URL"], "else the embedded Valkey would be on"


def test_image_has_no_secret() -> None:
    names = [a for name, a in instructions() if name in ("ENV", "ARG")]
    assert not re.search(r"secret|token|password|_key", " ".join(names), flags=re.IGNORECASE)


def test_build_context_is_minimal() -> None:
    first, *rules = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert first == "*"
    allowed = [rule.removeprefix("!/") for rule in rules if rule.startswith("!")]
    copied = [a.split()[-2] for name, a in instructions() if name == "COPY" and "--from" not in a]
    assert {rule for rule in allowed if not any(fnmatch.fnmatch(path, rule) for path in copied)} == set()
    assert {path for path in copied if not any(fnmatch.fnmatch(path, rule) for rule in allowed)} == set()
