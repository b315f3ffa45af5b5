"""The outermost layer, the only one that every request passes: one pure ASGI callable that does it all at once.

Checks the Host header and the body's length, names the request, adds the security headers, turns errors into
answers, counts, and writes the access line. Layers on top of each other would each cost a wrapper per message.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from starlette.types import Message, Receive, Scope, Send

from app.observability.health import PROBES
from app.observability.log import AccessLog
from app.observability.metrics import OTHER, Metrics
from app.server.protocol import UPGRADE_IGNORED
from app.server.security_headers import KEEPS_OPENER, STRICT_TRANSPORT, with_security
from app.settings import SettingsError
from app.settings.live import LiveSettings
from app.store.client import StoreUnavailable
from app.store.embedded import EmbeddedError
from app.web.csrf import SAFE, is_cross_site
from app.web.errors import BadRequest, Forbidden, Problem, TooLarge, problem_of, problem_response
from app.web.fast_path import Deferred, FastEndpoint, FastResponse, Finish
from app.web.headers import Hosts, headers_of
from app.web.i18n import N_
from app.web.negotiate import prefers_json
from app.web.policy import RoutePolicy, policy_of
from app.web.proxies import Proxies
from app.web.router import ExactRouter
from app.web.templating import Pages

ON_RESPONSE_START = "tallygate.on_response_start"
"""The scope key of an `async (scope, headers)` that adds headers to the response: the sessions' cookies."""
CHECKED = "tallygate.checked"
"""The scope key of requests that have passed the checks of their head on the fast path."""
Future = asyncio.Future[Any]
Reply = Callable[[int, bytes, bytes], None]
"""Sends a response: its status, its header lines, each with its end, and its body."""
CHALLENGE = (b"www-authenticate", b"Bearer")
"""Of a 401 that has none of its own: RFC 9110, 15.5.2, demands one."""
BODILESS = frozenset({"GET", "HEAD"})
MAX_CONTENT_LENGTH_DIGITS = 20
"""Of a Content-Length, zeros in front included: Python refuses to read a number of thousands."""


class Middleware:
    def __init__(
        self,
        app: ExactRouter,
        live: LiveSettings,
        pages: Pages,
        proxies: Proxies,
        metrics: Metrics,
        access: AccessLog,
    ) -> None:
        self._app = app
        self._find = app.table.find
        self._live = live
        settings = live.own
        self._hosts = Hosts(settings)
        self._proxies = proxies
        self._pages = pages
        self._metrics = metrics
        self._access = access
        self._log = structlog.get_logger("app")
        self._prefix = os.urandom(5).hex()
        self._count = 0
        self._due: list[tuple[Scope, float, FastResponse, Reply]] = []
        self._deferred: dict[Future, list[tuple[Scope, float, Finish, Reply]]] = {}
        self._state: dict[str, Any] = {}
        self._state_parts: tuple[object, object] = (None, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, partial(_in_one_line, send))
        elif scope["type"] == "http":
            scope["app"] = self  # Starlette's router raises its 404 and 405, instead of answering, where it sees one
            await RequestCycle(self, scope, send).run(receive)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def wants_body(self, scope: Scope) -> bool:
        """Whether `try_fast` needs the body, which is small."""
        route = self._find(scope["method"], scope["path"])
        if route is None or not isinstance(route.endpoint, FastEndpoint):
            return False
        length = headers_of(scope).get(b"content-length", b"")
        return length.isdigit() and len(length) < 6 and int(length) <= route.endpoint.max_fast_body

    def try_fast(self, scope: Scope, reply: Reply) -> bool:
        """Answers a request for a FastEndpoint through `reply`, at once or soon, without a task.

        False, with nothing done, when it has to go the ordinary way.
        """
        route = self._find(scope["method"], scope["path"])
        if route is None or not isinstance(route.endpoint, FastEndpoint):
            return False
        if self._refusal(scope, policy_of(route)) is not None:
            return False
        parts = scope["state"], self._live.state
        if parts[0] is not self._state_parts[0] or parts[1] is not self._state_parts[1]:
            self._state, self._state_parts = {**parts[0], **parts[1]}, parts
        # All share it: a copy of some fifty entries would be a tenth of the response's cost.
        scope["state"] = self._state
        scope[CHECKED] = True
        started = perf_counter()
        outcome = route.endpoint.try_fast(scope)
        if outcome is None:
            return False
        scope["route"] = route
        if isinstance(outcome, Deferred):
            future, finish = outcome
            waiting = self._deferred.get(future)
            if waiting is None:  # the hits of a batch share a future: a callback of each would cost as much as the hit
                waiting = self._deferred[future] = []
                future.add_done_callback(self._reply_deferred)
            waiting.append((scope, started, finish, reply))
        else:
            # What is read in one tick is answered together: written one by one, answers wake their readers one by one.
            if not self._due:
                asyncio.get_running_loop().call_soon(self._reply_due)
            self._due.append((scope, started, outcome, reply))
        return True

    def _reply_due(self) -> None:
        due, self._due = self._due, []
        for scope, started, answer, reply in due:
            self._reply(scope, started, answer, reply)

    def _reply_deferred(self, future: Future) -> None:
        result = future.result()
        for scope, started, finish, reply in self._deferred.pop(future):
            self._reply(scope, started, finish(result), reply)

    def _reply(self, scope: Scope, started: float, answer: FastResponse, reply: Reply) -> None:
        head, body = answer
        request_id = self._next_id()
        constant = head.secure if scope["scheme"] == "https" else head.plain
        if head.status in (204, 304):
            lines = b"%bx-request-id: %b\r\n" % (constant, request_id.encode())
        else:
            lines = b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % (constant, len(body), request_id.encode())
        reply(head.status, lines, body)
        self._note(scope, started, head.status, len(body), request_id)

    def _note(self, scope: Scope, started: float, status: int, size: int, request_id: str) -> None:
        ended = perf_counter()
        route, client = scope.get("route"), scope["client"]
        self._metrics.request(OTHER if route is None else route.path, status or 500, ended - started)
        self._access.add(
            scope["method"], scope["path"], status, ended - started, size, client[0] if client else None, request_id
        )

    def _next_id(self) -> str:
        """Unique among all requests of all workers; nothing secret, so a counter will do."""
        self._count += 1
        return f"{self._prefix}{self._count:06x}"

    def _refusal(self, scope: Scope, policy: RoutePolicy) -> Problem | None:
        raw = scope["headers"]
        headers = headers_of(scope)
        if not (policy.any_host or self._hosts.allow(headers, raw) or scope["path"] in PROBES):
            return BadRequest(N_("The Host header is missing, malformed or not allowed."), field="Host")
        if self._proxies.any:
            self._proxies.apply(scope, headers)
        unsafe = scope["method"] not in SAFE and not policy.cross_site
        if unsafe and is_cross_site(scope["method"], scope["scheme"].encode(), headers):
            return Forbidden(N_("The request comes from another site."))
        length = headers.get(b"content-length")
        if length is None:
            return None
        if not length.isdigit() or len(length) > MAX_CONTENT_LENGTH_DIGITS:
            return TooLarge()
        return TooLarge() if int(length) > self.max_body_bytes(policy) else None

    def policy_of(self, scope: Scope) -> RoutePolicy:
        return policy_of(self._find(scope["method"], scope["path"]))

    def max_body_bytes(self, policy: RoutePolicy) -> int:
        return self._live.current.max_body_bytes if policy.max_body_bytes is None else policy.max_body_bytes


async def _in_one_line(send: Send, message: Message) -> None:
    """Passes on the lifespan's messages; logs a failed start without a traceback where the operator can fix it."""
    error = sys.exc_info()[1]
    if message["type"] == "lifespan.startup.failed" and isinstance(error, (SettingsError, EmbeddedError)):
        message["message"] = f"tallygate: {error}"
    await send(message)


class RequestCycle:
    """One request and its answer."""

    __slots__ = ("_id", "_middleware", "_policy", "_scope", "_send", "_size", "_started", "_status")

    def __init__(self, middleware: Middleware, scope: Scope, send: Send) -> None:
        self._middleware = middleware
        self._policy = middleware.policy_of(scope)
        self._scope = scope
        self._send = send
        self._started = perf_counter()
        scope["state"].update(middleware._live.state)
        self._id = scope["state"]["request_id"] = middleware._next_id()
        self._status = 0
        self._size = 0

    async def run(self, receive: Receive) -> None:
        middleware, scope = self._middleware, self._scope
        try:
            if CHECKED not in scope and (refusal := middleware._refusal(scope, self._policy)):
                raise refusal
            await middleware._app(
                scope, receive if scope["method"] in BODILESS else self._limited(receive), self._answer
            )
        except Exception as error:  # the boundary: every error becomes a response
            problem = problem_of(error)
            if problem.status == 500:
                middleware._log.exception("request failed", request_id=self._id, path=scope["path"])
            if self._status:
                raise  # too late for another answer: the server closes the connection
            header = {} if problem.status == 503 or prefers_json(scope) else await self._header()
            response = problem_response(problem, scope, middleware._pages, self._id, header)
            response.headers.update(self._policy.error_headers)
            await response(scope, receive, self._answer)
        finally:
            middleware._note(scope, self._started, self._status, self._size, self._id)

    async def _header(self) -> Mapping[str, Any]:
        """The user for the header of an error page; None while Redis is away."""
        try:
            header: Mapping[str, Any] = await self._scope["state"]["error_header"](self._scope)
            return header
        except StoreUnavailable:
            return {}

    def _limited(self, receive: Receive) -> Receive:
        """Limits a body of unknown length: the returned `receive` raises TooLarge."""
        left = self._middleware.max_body_bytes(self._policy)

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
            headers = message["headers"]
            if self._policy.in_popup:
                headers = [*headers, KEEPS_OPENER]
            if self._policy.security_headers:
                headers = with_security(headers)
            headers = message["headers"] = [*headers, (b"x-request-id", self._id.encode())]
            if ON_RESPONSE_START in self._scope:
                await self._scope[ON_RESPONSE_START](self._scope, headers)
            self._status = message["status"]
            if self._scope["scheme"] == "https":
                headers.append(STRICT_TRANSPORT)
            if self._status == 401 and all(name != CHALLENGE[0] for name, _ in headers):
                headers.append(CHALLENGE)
            if b"upgrade" in headers_of(self._scope) and UPGRADE_IGNORED not in self._scope:
                headers.append((b"connection", b"close"))  # uvicorn's own protocol reads the body as the next request
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)
