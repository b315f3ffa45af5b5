"""The visit counter in plain Starlette: one await per command."""

import os

import redis.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

store = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])


async def count(request: Request) -> PlainTextResponse:
    """Count a visit and tell its number."""
    visits = await store.incr("starlette-visits")
    return PlainTextResponse(f"This page has been visited {visits} times")


app = Starlette(routes=[Route("/", count)])
