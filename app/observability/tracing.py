"""OpenTelemetry traces, for the setting `tracing`: spans of requests, of their commands to Redis, of outgoing calls.

The only module that imports OpenTelemetry, and imported only where tracing is on. Spans hold no query, no body and no
argument of a command, and of outgoing calls no path: all of these may be secrets.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__
from app.observability.health import PROBES
from app.observability.spans import begin_span
from app.store.connection import Argument, NodeConnection, Reply, StoreUnavailable

PROPAGATOR = TraceContextTextMapPropagator()
"""Without baggage: a visitor's would go on to providers."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_PATH = 256
"""Characters of a path in a span."""
LAST_EXPORT = 1.0
"""Seconds that a stopping worker waits for its last spans to be sent."""


class Tracing:
    """The spans of a worker, sent to where OTEL_EXPORTER_OTLP_ENDPOINT says, or to an exporter of a test's own."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        resource = Resource({"service.name": "tallygate", "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tallygate", __version__)
        self.connection = partial(TracedConnection, self._tracer)
        """Makes connections to Redis whose commands have spans."""

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with a span for each request. It has no fast path: a span needs a task."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                begin_span.set(self._client_span)
                try:
                    await app(scope, receive, send)
                finally:
                    await self._close()
            elif scope["type"] == "http" and scope["path"] not in PROBES:
                await self._request(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return traced

    async def _request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"][:MAX_PATH].encode("utf-8", "replace").decode(),
        }
        with self._tracer.start_as_current_span(
            method,
            PROPAGATOR.extract(carrier),
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            begin_span.set(self._client_span)
            with structlog.contextvars.bound_contextvars(traceparent=traceparent()):
                try:
                    await app(scope, receive, partial(_send, span, send))
                finally:
                    _name(span, method, scope)

    @contextmanager
    def _client_span(self, method: str, host: str) -> Iterator["_ClientSpan"]:
        with self._tracer.start_as_current_span(
            method,
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, "server.address": host},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _ClientSpan(span)
            except BaseException as error:
                _fail(span, error)
                raise

    async def _close(self) -> None:
        """Sends the last spans. The collector may be away: the thread is not waited for at the exit."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, LAST_EXPORT)


class _ClientSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        headers: dict[str, str] = {}
        PROPAGATOR.inject(headers)
        self.headers = MappingProxyType(headers)

    def respond(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            self._span.set_status(StatusCode.ERROR)


class TracedConnection(NodeConnection):
    """Commands that belong to a trace have a span; those of many requests together, such as counts, have none."""

    def __init__(self, tracer: Tracer, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tracer = tracer

    def send(self, *command: Argument) -> "asyncio.Future[Reply]":
        if not trace.get_current_span().get_span_context().is_valid:
            return super().send(*command)
        name = str(command[0])
        attributes = {"db.system.name": "redis", "db.operation.name": name}
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        try:
            future = super().send(*command)
        except StoreUnavailable as error:
            _fail(span, error)
            span.end()
            raise
        future.add_done_callback(partial(_replied, span))
        return future


def traceparent() -> str:
    """The current span as the header `traceparent` names it (W3C Trace Context); empty outside a span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _replied(span: Span, future: "asyncio.Future[Reply]") -> None:
    error = asyncio.CancelledError() if future.cancelled() else future.exception()
    if error is not None:
        _fail(span, error)
    span.end()


def _fail(span: Span, error: BaseException) -> None:
    """Records the kind of the error: its text may hold an address."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


async def _send(span: Span, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        status = message["status"]
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
    await send(message)


def _name(span: Span, method: str, scope: Scope) -> None:
    """Names the span by the route, as soon as that and the visitor's address behind proxies are known."""
    route = scope.get("route")
    if route is not None:
        span.set_attribute("http.route", route.path)
        span.update_name(f"{method} {route.path}")
    if scope["client"]:
        span.set_attribute("client.address", scope["client"][0])
