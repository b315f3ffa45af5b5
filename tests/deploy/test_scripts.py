"""The shell scripts, by shellcheck."""

import subprocess
import sys
from pathlib import Path

from tests.service import ROOT


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    scripts = [ROOT / ".ci" / "run", *(ROOT / "deploy").rglob("*.sh")]
    assert len(scripts) > 1
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
