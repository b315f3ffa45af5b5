"""The lock files install from wheels alone, as the images do it, on arm64 and every Python that is promised."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import yaml_of
from tests.helpers.service import ROOT

PYTHONS = yaml_of(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
UNREACHABLE = "Could not connect", "Failed to fetch", "dns error", "Request failed"


@pytest.mark.slow
def test_every_package_has_a_wheel_for_arm64(tmp_path: Path) -> None:
    """dev.txt has all of run.txt in it."""
    for python in PYTHONS:
        done = subprocess.run(
            [
                ROOT / ".venv/bin/uv", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--only-binary", ":all:",
                "--target", tmp_path, "--python-version", python, "--python-platform", "aarch64-manylinux_2_31",
                "--requirement", ROOT / "requirements/dev.txt",
            ],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if any(reason in done.stderr for reason in UNREACHABLE):
            pytest.skip("the package registry cannot be reached from here")
        assert done.returncode == 0, f"Python {python}: {done.stderr}"
