"""What helm makes of the chart."""

import shutil
import subprocess

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from tests.deploy.files import CUSTOM, Document
from tests.helpers.service import ROOT

CHART = ROOT / "deploy" / "helm"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm")
    if program is None:
        pytest.skip("there is no helm here: .ci/run builds it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def chart(*values: str) -> list[Document]:
    options = [option for value in values for option in ("--set-json", value)]
    made = helm("template", "tallygate", str(CHART), "--kube-version", "1.33.0", *options)
    assert made.returncode == 0, made.stderr
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    for document in documents:
        if not document["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(document, "1.33", strict=True)
    return documents
