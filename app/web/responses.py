"""JSON responses."""

from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response


def json_response(content: Any, status: int = 200) -> Response:
    """JSON of plain types and pydantic models, not cached: most responses depend on the time, user and language."""
    response = Response(orjson.dumps(content, default=_dump), status, media_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Cookie, Authorization, Accept, Accept-Language"
    return response


def _dump(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} is not JSON")
