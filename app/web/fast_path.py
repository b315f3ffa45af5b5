"""Endpoints that mostly answer from memory. The server (app/server/protocol.py) calls them directly, without a task:
a task costs as much as the answer. Any other server reaches them as plain ASGI.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from app.server.security_headers import SECURITY_HEADERS, STRICT_TRANSPORT
from app.web.headers import RawHeaders


class StaticHeaders:
    """The headers that all 200s of an endpoint share, but for their length; and as they are sent, with those that
    every answer has: made once, because joining them anew takes as long as everything else that an answer needs.
    """

    __slots__ = ("headers", "plain", "secure")

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers: RawHeaders = list(headers)
        self.plain = b"".join(b"%b: %b\r\n" % header for header in (*headers, *SECURITY_HEADERS))
        self.secure = self.plain + b"%b: %b\r\n" % STRICT_TRANSPORT


FastResponse = tuple[StaticHeaders, bytes]
"""A 200's constant headers and its body."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """An answer that waits for something. The future must hold no exception, and `finish` must not raise."""

    future: "asyncio.Future[Any]"
    finish: Callable[[Any], FastResponse]


class FastEndpoint:
    """Gives `quick` for the usual request and `slow` for every other."""

    def try_fast(self, scope: Scope) -> FastResponse | Deferred | None:
        """The answer when it takes no asking, or the promise of one; None, with nothing done, when it is for `slow`.

        Must not raise.
        """
        raise NotImplementedError

    async def handle(self, scope: Scope) -> FastResponse:
        """The answer to any request."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outcome = self.try_fast(scope)
        if isinstance(outcome, Deferred):
            outcome = outcome.finish(await outcome.future)
        head, body = outcome if outcome is not None else await self.handle(scope)
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [*head.headers, length]})
        await send({"type": "http.response.body", "body": body})
