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
MAX_HEADERS, MAX_HEADER = 50, 200


class Sender:
    def __init__(self, settings: Settings, max_connections: int) -> None:
        self._timeout = settings.webhook_timeout
        self._client = httpx.AsyncClient(
            transport=Transport(
                trusted(settings.oauth_ca_file), private=not settings.production, max_connections=max_connections
            ),
            timeout=settings.webhook_timeout,
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "tallygate-webhooks"},
        )

    async def __aenter__(self) -> "Sender":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._client.__aexit__(*exception)

    async def post(self, url: str, body: bytes, headers: dict[str, str], at: float, *, most: int = MAX_BODY) -> Attempt:
        """Never raises for what the receiver does. The answer's headers and `most` bytes of its body are kept."""
        started = time.perf_counter()
        headers = headers | {"Content-Type": "application/json"}
        status, answered, told = None, {}, ""
        try:
            async with asyncio.timeout(self._timeout):
                async with self._client.stream("POST", url, content=body, headers=headers) as response:
                    status = response.status_code
                    answered = _headers(response)
                    told = await _first(response, most)
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
