import json
from pathlib import Path
from typing import Any


def lines_of(log: Path) -> list[dict[str, Any]]:
    """A log's lines, which all have to be JSON."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]
