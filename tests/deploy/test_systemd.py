"""The unit for machines without containers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import text


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / "tallygate.service"
    unit.write_text(text("deploy/systemd/tallygate.service").replace("/srv/tallygate/.venv/bin/python", sys.executable))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
