"""JSON responses."""

from typing import Any

import orjson
from starlette.responses import Response


def json_response(content: Any, status: int = 200) -> Response:
    """JSON of plain types, not cached: nearly every response depends on the time, the user and the language."""
    response = Response(orjson.dumps(content), status, media_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Cookie, Authorization, Accept, Accept-Language"
    return response
