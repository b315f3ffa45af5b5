"""CORS headers and errors of the protocols of other counters."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.sites.lifespan import SitesState
from app.store.client import StoreUnavailable
from app.web.errors import Problem

CROSS_ORIGIN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Pages of every site may load the response and read it."""
HEADERS = CROSS_ORIGIN | {
    "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors *",
}
Handler = Callable[[Request[SitesState]], Awaitable[Response]]


def cross_origin_json(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, HEADERS | dict(headers or {}), media_type="application/json")


def errors_as_json(handler: Handler) -> Handler:
    """`{"error": ...}`, the form that these clients expect, with CORS headers so that pages can read it."""

    @wraps(handler)
    async def answer(request: Request[SitesState]) -> Response:
        try:
            return await handler(request)
        except Problem as error:
            return cross_origin_json({"error": error.detail or error.title}, error.status, error.headers)
        except StoreUnavailable:
            return cross_origin_json({"error": "the counter is away"}, 503, {"Retry-After": "1"})

    return answer
