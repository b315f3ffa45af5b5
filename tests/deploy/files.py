"""The deployment's files as data."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import CONFIG_VARIABLE, PREFIX, Settings
from tests.helpers.service import ROOT

Document = dict[str, Any]
OVERLAYS = ("dev", "production", "nas", "external-redis")
SECRETS = {
    ("production", "secret-key"): "k" * 64,
    ("external-redis", "redis-url"): "redis+sentinel://:p@sentinel:26379/main/0",
}
"""The files that are not committed, by overlay and name."""
VARIABLE = re.compile(rf"\b{PREFIX}[A-Z][A-Z0-9_]*\b")
PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
"""An image whose tag names one release: `redis:8.6.3`, not `redis:8` and not `redis:latest`."""


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def yaml_of(path: str) -> Any:
    return yaml.safe_load(text(path))


def jsonc(path: str) -> Any:
    """JSON with comments on lines of their own, which is how we write them."""
    return json.loads(re.sub(r"^\s*//.*$", "", text(path), flags=re.MULTILINE))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))


def is_setting(variable: str) -> bool:
    name = variable.removeprefix(PREFIX).lower().partition("__")[0]
    return variable == CONFIG_VARIABLE or {name, name.removesuffix("_file")} & Settings.model_fields.keys() != set()


def with_secrets(folder: Path) -> Path:
    """A copy of k8s/ with the files that are not committed."""
    copy = shutil.copytree(ROOT / "k8s", folder / "k8s", ignore=shutil.ignore_patterns("secrets"))
    for (overlay, name), secret in SECRETS.items():
        secrets = copy / "overlays" / overlay / "secrets"
        secrets.mkdir()
        (secrets / name).write_text(secret, "utf-8")
    return copy


@cache
def kustomize(folder: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a folder."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl here to make the manifests with")
    made = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def the(kind: str, name: str, documents: list[Document]) -> Document:
    (found,) = (d for d in documents if d["kind"] == kind and _plain(d["metadata"]["name"]) == name)
    return found


def pods(documents: list[Document]) -> list[Document]:
    """The pod specs of all workloads."""
    return [d["spec"]["template"]["spec"] for d in documents if d["kind"] in ("Deployment", "StatefulSet")]


def _plain(name: str) -> str:
    """The name of a generated ConfigMap or Secret without the hash of its content."""
    return re.sub(r"-[a-z0-9]{10}$", "", name)
