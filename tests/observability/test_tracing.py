"""OpenTelemetry traces: what a collector receives, and what is loaded without them."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.http_client.client import SafeHttpClient
from app.http_client.streaming import StreamingClient
from app.main import create_app
from app.observability.spans import begin_span
from app.settings import Settings, SettingsError
from tests.helpers.logs import lines_of
from tests.helpers.receiver import Receiver, receiving
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "hunter2-hunter2"


def spans_of(collector: Receiver) -> list[Span]:
    requests = [ExportTraceServiceRequest.FromString(body) for _, body in collector.received]
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes_of(span: Span) -> dict[str, str | int]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


async def test_request_and_its_redis_commands_are_spans_of_the_callers_trace(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "service.log"
    async with receiving() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with running(make_settings(tracing=True, log_file=log)) as service:
            headers = {"traceparent": TRACEPARENT, "Cookie": f"session={SECRET}"}
            await service.client.get("/live", headers=headers)
            await service.client.get(f"/api/visits?password={SECRET}", headers=headers)
            await service.client.post("/sign-in", data={"name": "nobody", "password": SECRET}, headers=headers)
        spans = spans_of(collector)
        assert SECRET.encode() not in b"".join(body for _, body in collector.received)
    visits, sign_in = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert (visits.name, sign_in.name) == ("GET /api/visits", "POST /sign-in")
    assert (visits.trace_id.hex(), visits.parent_span_id.hex()) == (TRACE, PARENT)
    attributes = attributes_of(visits)
    assert (attributes["http.response.status_code"], attributes["url.path"]) == (200, "/api/visits")
    assert (attributes["http.route"], attributes["client.address"]) == ("/api/visits", "192.0.2.1")
    commands = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    assert {attributes_of(span)["db.system.name"] for span in commands} == {"redis"}
    assert sign_in.span_id in {span.parent_span_id for span in commands}
    access = [line["traceparent"] for line in lines_of(log) if line["event"] == "access" and line["path"] != "/live"]
    assert access == [f"00-{TRACE}-{span.span_id.hex()}-01" for span in (visits, sign_in)]


async def called(origin: str, target: str) -> None:
    async with SafeHttpClient(timeout=PATIENCE, private=True) as client:
        await client.request("GET", origin + target)


async def streamed(origin: str, target: str) -> None:
    async with StreamingClient(timeout=PATIENCE, private=True) as client:
        response = await client.send("GET", origin, target, {}, b"")
        assert b"".join([part async for part in response.iter_body()]) == b"ok"


@pytest.mark.parametrize("call", [called, streamed])
async def test_outgoing_call_has_a_span_and_tells_its_server(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, call: Callable[[str, str], Awaitable[None]]
) -> None:
    async with receiving() as collector, receiving() as provider:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with running(make_settings(tracing=True)) as service:
            await service.client.get("/api/visits")
            assert begin_span.get() is not None
            await call(provider.url, f"/{SECRET}")
        (headers, _), spans = provider.received[0], spans_of(collector)
        assert SECRET.encode() not in b"".join(body for _, body in collector.received)
    (client,) = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT and span.name == "GET"]
    assert headers["traceparent"].startswith(f"00-{client.trace_id.hex()}-{client.span_id.hex()}-")
    assert attributes_of(client)["http.response.status_code"] == 200


async def test_collector_that_is_away_does_not_keep_the_worker(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with running(make_settings(tracing=True)) as service:
        assert (await service.client.get("/api/visits")).status_code == 200


def test_missing_packages_are_named(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "app.observability.tracing", raising=False)
    with pytest.raises(SettingsError, match=r"tracing needs opentelemetry: pip install 'tallygate\[tracing\]'"):
        create_app(make_settings(tracing=True))


@pytest.mark.slow
def test_service_without_tracing_needs_none_of_its_packages() -> None:
    """redis-py imports OpenTelemetry where it is installed: here it is not."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None;"
        "from app.main import create_app; from app.settings import Settings; create_app(Settings());"
        "sys.exit('app.observability.tracing' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
