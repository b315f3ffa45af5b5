"""`/metrics`: on its own port, or on the public port with the token; otherwise 404."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.observability.metrics import Metrics
from app.server.listener import listener
from app.settings import Settings


def public_route(metrics: Metrics, settings: Settings) -> Route:
    token = settings.metrics_token.get_secret_value().encode() if settings.metrics_token else None

    async def scrape(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").encode("latin-1").partition(b" ")
        if token is None or scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token):
            raise HTTPException(404)
        return metrics.response()

    return Route("/metrics", scrape)


@asynccontextmanager
async def own_port(metrics: Metrics, settings: Settings) -> AsyncIterator[None]:
    """Serves `/metrics` on `metrics_port`. The workers share the port; each responds for all of them."""
    if settings.metrics_port is None:
        yield
        return

    async def scrape(request: Request) -> Response:
        return metrics.response()

    config = uvicorn.Config(
        Router([Route("/metrics", scrape)]), lifespan="off", ws="none", log_config=None, access_log=False
    )
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: H11Protocol(config=config, server_state=ServerState(), app_state={}),
        sock=listener(settings.host, settings.metrics_port, setting="metrics_port", shared=True),
    )
    try:
        yield
    finally:
        server.close()
