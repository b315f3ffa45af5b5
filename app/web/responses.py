"""JSON responses."""

from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

NOT_CACHED = ((b"cache-control", b"no-store"), (b"vary", b"Cookie, Authorization, Accept, Accept-Language"))
"""A cache that ignores no-store still has to tell users apart."""


def json_response(content: Any, status: int = 200) -> Response:
    """JSON of plain types and pydantic models, not cached: most responses depend on the time, user and language."""
    response = Response(orjson.dumps(content, default=_dump), status, media_type="application/json")
    response.raw_headers += NOT_CACHED
    return response


def _dump(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} is not JSON")
