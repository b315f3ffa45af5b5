"""Endpoints that mostly answer from memory. The server (app/server/protocol.py) calls them directly, without a task:
a task costs as much as the answer. Any other server reaches them as plain ASGI.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from app.server.security_headers import STRICT_TRANSPORT, with_security
from app.web.headers import RawHeaders


class StaticHeaders:
    """The headers that all responses of a kind share, but for their length; and as they are sent, with those that
    every response has: made once, because joining them anew takes as long as everything else that a response needs.
    """

    __slots__ = ("headers", "plain", "secure", "status")

    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200, security: bool = True) -> None:
        self.status = status
        self.headers: RawHeaders = list(headers)
        every = with_security(self.headers) if security else self.headers
        self.plain = b"".join(b"%b: %b\r\n" % header for header in every)
        self.secure = self.plain + b"%b: %b\r\n" % STRICT_TRANSPORT


FastResponse = tuple[StaticHeaders, bytes]
"""A response's constant headers, and status, and its body."""
Finish = Callable[[Any], FastResponse]


class Deferred(tuple["asyncio.Future[Any]", Finish]):
    """A response that waits for a future, which several may share. Neither the future nor `finish` may raise."""

    __slots__ = ()


class FastEndpoint:
    """Answers usual requests in `try_fast`, every other in `handle`."""

    max_fast_body = 0
    """The longest body with which `try_fast` is asked: it stands in the scope as `BODY`."""

    def try_fast(self, scope: Scope) -> FastResponse | Deferred | None:
        """The response from memory, or a deferred one; None, with nothing done, if `handle` has to answer.

        Must not raise.
        """
        raise NotImplementedError

    async def handle(self, scope: Scope) -> FastResponse:
        """The response to any request."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outcome = self.try_fast(scope)
        if isinstance(outcome, Deferred):
            future, finish = outcome
            outcome = finish(await future)
        await respond(outcome if outcome is not None else await self.handle(scope), send)


async def respond(outcome: FastResponse, send: Send) -> None:
    head, body = outcome
    headers = head.headers if head.status in (204, 304) else [*head.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": head.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
