"""One attempt of a delivery: a POST to a checked and pinned address, without redirects, bounded in time and size."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from app.events.event import Record
from app.hooks.models import Attempt, body_of
from app.hooks.signing import signature_headers
from app.http_client.client import TimedOut, Unreachable
from app.http_client.streaming import StreamedResponse, StreamingClient
from app.settings import Settings

MAX_BODY = 1024
MAX_HEADERS, MAX_HEADER = 50, 200
JSON = {"content-type": "application/json"}


class Sender:
    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.webhook_timeout
        self._client = StreamingClient(
            timeout=settings.webhook_timeout, private=not settings.production, ca_file=settings.oauth_ca_file
        )

    async def __aenter__(self) -> "Sender":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._client.__aexit__(*exception)

    async def post(
        self, url: str, record: Record, sequence: int, keys: Sequence[str], at: float, *, max_body: int = MAX_BODY
    ) -> Attempt:
        """Errors of the receiver become part of the result. Keeps the headers and `max_body` bytes of its response."""
        body = body_of(record, sequence)
        headers = JSON | signature_headers(record.id, int(at), body, keys)
        started = time.perf_counter()
        status, answered, told = None, {}, ""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send("POST", f"{parts.scheme}://{parts.netloc}", target, headers, body)
                try:
                    status, answered = response.status, _headers(response)
                    told = await _beginning(response, max_body)
                finally:
                    response.close()
        except (TimeoutError, TimedOut):
            status, told = None, f"no answer within {self._timeout:g} s"
        except Unreachable as error:
            told = told if status is not None else str(error)[:MAX_BODY]
        return Attempt(at, status, round((time.perf_counter() - started) * 1000), answered, told)


def _headers(response: StreamedResponse) -> dict[str, str]:
    pairs = list(response.headers.items())[:MAX_HEADERS]
    return {name[:MAX_HEADER]: value[:MAX_HEADER] for name, value in pairs if name != "set-cookie"}


async def _beginning(response: StreamedResponse, max_body: int) -> str:
    body = b""
    async for data in response.iter_body():
        body += data
        if len(body) >= max_body:
            break
    return body[:max_body].decode("utf-8", "replace")
