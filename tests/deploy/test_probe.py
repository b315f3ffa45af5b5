"""deploy/probe.sh, the image's health check."""

import subprocess
from pathlib import Path

import pytest

from tests.helpers.service import ROOT, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey


def probe(path: str, port: str) -> tuple[int, str]:
    """(exit code, what it printed)."""
    done = subprocess.run(
        ["bash", ROOT / "deploy" / "probe.sh", path],
        env={"TALLYGATE_PORT": port},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_probe_exits_as_the_service_answers(tmp_path: Path, server: Valkey, host: str) -> None:
    with process(tmp_path, host=host, port="0", redis_url=server.url) as service:
        port = service.url().rpartition(":")[2]
        assert probe("/ready", port) == (0, '{"status":"ready"}')
        assert probe("/no-such-page", port)[0] == 1
    code, reason = probe("/live", port)
    assert code == 1
    assert "refused" in reason
