"""The outermost layer, the only one that every request passes: one pure ASGI callable that does it all at once.

Checks the Host header and the body's length, names the request, adds the security headers, turns errors into
answers, counts, and writes the access line. Layers on top of each other would each cost a wrapper per message.
"""

import os
import sys
from functools import partial
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings, SettingsError
from app.store.embedded import EmbeddedError
from app.web.csrf import SAFE, is_cross_site
from app.web.errors import BadRequest, Forbidden, Problem, TooLarge, problem_of, problem_response
from app.web.headers import SECURITY, STRICT_TRANSPORT, Hosts, headers_of
from app.web.locale import N_
from app.web.log import AccessLog
from app.web.metrics import OTHER, Metrics
from app.web.pages import Pages
from app.web.proxies import Proxies
from app.web.sessions import VISIT

PROBES = frozenset({"/live", "/ready"})
"""Asked by an orchestrator under whatever address the process has: any Host will do."""
BODILESS = frozenset({"GET", "HEAD"})


class Edge:
    def __init__(self, app: ASGIApp, settings: Settings, pages: Pages, metrics: Metrics, access: AccessLog) -> None:
        self._app = app
        self._most = settings.max_body_bytes
        self._hosts = Hosts(settings)
        self._proxies = Proxies(settings.trusted_proxies)
        self._pages = pages
        self._metrics = metrics
        self._access = access
        self._log = structlog.get_logger("app")
        self._prefix = os.urandom(5).hex()
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, partial(_in_one_line, send))
        elif scope["type"] == "http":
            scope["app"] = self  # Starlette's router raises its 404 and 405, instead of answering, where it sees one
            await Exchange(self, scope, send).run(receive)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _next_id(self) -> str:
        """Unique among all requests of all workers; nothing secret, so a counter will do."""
        self._count += 1
        return f"{self._prefix}{self._count:06x}"

    def _refusal(self, scope: Scope) -> Problem | None:
        raw = scope["headers"]
        headers = headers_of(scope)
        if not self._hosts.allow(headers, raw) and scope["path"] not in PROBES:
            return BadRequest(N_("The Host header is missing, malformed or not one of ours."), field="Host")
        if self._proxies.any:
            self._proxies.apply(scope, headers)
        if scope["method"] not in SAFE and is_cross_site(scope["method"], scope["scheme"].encode(), headers):
            return Forbidden(N_("The request comes from another site."))
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            return TooLarge()
        return None


async def _in_one_line(send: Send, message: Message) -> None:
    """Passes on the lifespan's messages; says why a start failed without a traceback where the operator can mend it."""
    error = sys.exc_info()[1]
    if message["type"] == "lifespan.startup.failed" and isinstance(error, (SettingsError, EmbeddedError)):
        message["message"] = f"tallygate: {error}"
    await send(message)


class Exchange:
    """One request and its answer."""

    __slots__ = ("_edge", "_id", "_scope", "_send", "_size", "_started", "_status")

    def __init__(self, edge: Edge, scope: Scope, send: Send) -> None:
        self._edge = edge
        self._scope = scope
        self._send = send
        self._started = perf_counter()
        self._id = scope["state"]["request_id"] = edge._next_id()
        self._status = 0
        self._size = 0

    async def run(self, receive: Receive) -> None:
        edge, scope = self._edge, self._scope
        try:
            if refusal := edge._refusal(scope):
                raise refusal
            await edge._app(scope, receive if scope["method"] in BODILESS else self._limited(receive), self._answer)
        except Exception as error:  # the boundary: whatever went wrong, the visitor gets an answer
            problem = problem_of(error)
            if problem.status == 500:
                edge._log.exception("request failed", request_id=self._id, path=scope["path"])
            if self._status:
                raise  # too late for another answer: the server closes the connection
            await problem_response(problem, scope, edge._pages, self._id)(scope, receive, self._answer)
        finally:
            self._note()

    def _limited(self, receive: Receive) -> Receive:
        """For a body whose length nobody has told. What it returns raises TooLarge."""
        left = self._edge._most

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge
            return message

        return limited

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"] = [*message["headers"], *SECURITY, (b"x-request-id", self._id.encode())]
            if VISIT in self._scope:
                await self._scope[VISIT].sessions.commit(self._scope, headers)
            self._status = message["status"]
            if self._scope["scheme"] == "https":
                headers.append(STRICT_TRANSPORT)
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)

    def _note(self) -> None:
        edge, scope = self._edge, self._scope
        seconds = perf_counter() - self._started
        route = scope.get("route")
        edge._metrics.request(getattr(route, "path", OTHER), self._status or 500, seconds)
        client = scope["client"]
        edge._access.add(
            scope["method"],
            scope["path"],
            self._status,
            seconds,
            self._size,
            client[0] if client else None,
            self._id,
        )
