"""One attempt of a delivery: a POST to a checked and pinned address, without redirects, bounded in time and size."""

import asyncio
import time
from typing import Any

import httpx

from app.hooks.models import Attempt
from app.http_client.tls import trusted
from app.http_client.transport import Transport
from app.settings import Settings

MAX_BODY = 1024
POOLS = 64
"""Receivers are spread over so many pools: httpcore looks at every connection of a pool at every request."""
MAX_HEADERS, MAX_HEADER = 50, 200


HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "tallygate-webhooks"}


class Sender:
    def __init__(self, settings: Settings, max_connections: int) -> None:
        self._timeout = settings.webhook_timeout
        tls, private = trusted(settings.oauth_ca_file), not settings.production
        self._pools = [Transport(tls, private=private, max_connections=max_connections) for _ in range(POOLS)]

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *exception: Any) -> None:
        for pool in self._pools:
            await pool.aclose()

    async def post(self, url: str, body: bytes, headers: dict[str, str], at: float, *, most: int = MAX_BODY) -> Attempt:
        """Never raises for what the receiver does. The answer's headers and `most` bytes of its body are kept."""
        started = time.perf_counter()
        status, answered, told = None, {}, ""
        try:
            async with asyncio.timeout(self._timeout):
                request = httpx.Request("POST", url, content=body, headers=HEADERS | headers)
                pool = self._pools[hash(request.url.netloc) % POOLS]
                response = await pool.handle_async_request(request)
                try:
                    status = response.status_code
                    answered = _headers(response)
                    told = await _first(response, most)
                finally:
                    await response.aclose()
        except TimeoutError:
            status, told = None, f"no answer within {self._timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            if status is None:
                told = f"{type(error).__name__}: {error}"[:MAX_BODY]
        return Attempt(at, status, round((time.perf_counter() - started) * 1000), answered, told)


def _headers(response: httpx.Response) -> dict[str, str]:
    pairs = list(response.headers.items())[:MAX_HEADERS]
    return {name[:MAX_HEADER]: value[:MAX_HEADER] for name, value in pairs if name.lower() != "set-cookie"}


async def _first(response: httpx.Response, most: int) -> str:
    body = b""
    async for piece in response.aiter_raw(most):
        body += piece
        if len(body) >= most:
            break
    return body[:most].decode("utf-8", "replace")
