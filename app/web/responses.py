"""Answers as JSON."""

from typing import Any

import orjson
from starlette.responses import Response


def json_response(content: Any, status: int = 200) -> Response:
    """JSON of plain types, never cached: nearly every answer here depends on the moment, on who asks, and how."""
    response = Response(orjson.dumps(content), status, media_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Cookie, Authorization, Accept, Accept-Language"
    return response
