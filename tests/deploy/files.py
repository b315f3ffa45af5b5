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
SECRET_FILE = "components/secret-file/secrets/secret-key"
"""Below k8s/: the file that is not committed."""
CUSTOM = ("gateway.networking.k8s.io/", "monitoring.coreos.com/", "external-secrets.io/")
"""Groups of resources that Kubernetes itself does not know."""
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


def fresh_clone(folder: Path) -> Path:
    """A copy of k8s/ without the files that are not committed."""
    return shutil.copytree(ROOT / "k8s", folder / "k8s", ignore=shutil.ignore_patterns("secrets"))


def with_components(k8s: Path, *components: str, of: str = "overlays/production") -> list[Document]:
    """An overlay with components more, as `kubectl kustomize` makes it."""
    folder = k8s / "overlays" / "-".join(("with", *components))
    folder.mkdir(exist_ok=True)
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "tallygate",
        "resources": [f"../../{of}"],
        "components": [f"../../components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return kustomize(folder)


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
