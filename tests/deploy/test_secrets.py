"""No secret is in the deployment's files; those that somebody has to make have a place that is not committed."""

import re
import subprocess

import pytest

from tests.deploy.files import SECRET_FILE, text
from tests.helpers.service import ROOT

PLACES = ("Dockerfile", "compose.yaml", "docker-bake.hcl", ".devcontainer", ".vscode", ".github", "deploy", "k8s")
GIVEN = re.compile(
    r"(?i)(?<!_file)(?<!\bno)"
    r"(secret[_-]?key|password|passwd|token|credential)s?[\"']?[ \t]*[:=][ \t]*[\"']?(?=[^\s\"'$])(.+)"
)
LONG = re.compile(r"(?<!@)\b(?=\w*\d)[A-Za-z0-9+_]{32,}\b")
"""What looks random; behind an @ stands the commit of an action, or the digest of an image."""


def committed(*places: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *places],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("this is no git repository: what would be committed is not known")
    return listed.stdout.splitlines()


def test_no_secret_is_committed() -> None:
    paths = committed(*PLACES)
    assert "k8s/base/app/deployment.yaml" in paths
    for path in paths:
        content = text(path)
        assert not [m[0] for m in GIVEN.finditer(content) if m[2] not in ("false", "write")], path
        assert not LONG.findall(content), path
        assert "kind: Secret\n" not in content, path


def test_the_file_with_the_secret_key_is_not_committed() -> None:
    committed()
    ignored = subprocess.run(["git", "check-ignore", "--quiet", f"k8s/{SECRET_FILE}"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


def test_git_ignores_the_file_of_local_settings() -> None:
    committed()
    assert subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT, check=False).returncode == 0
