"""The parts of uvicorn and redis-py that are used and documented nowhere: an upgrade that changes one fails here first.

The upper bounds in pyproject.toml are raised together with this list.
"""

import inspect
from typing import Any

import pytest
import uvicorn
from redis._parsers.hiredis import _AsyncHiredisParser
from redis.asyncio.connection import AbstractConnection
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from uvicorn.supervisors.multiprocess import Multiprocess, Process

CYCLE = {
    "scope", "transport", "flow", "default_headers", "message_event", "on_response", "disconnected", "keep_alive",
    "waiting_for_100_continue", "body", "more_body", "response_started", "response_complete",
}  # fmt: skip
PROTOCOL = {
    "parser", "transport", "scope", "headers", "cycle", "app_state", "server_state", "logger", "flow", "connections",
}  # fmt: skip
METHODS: list[tuple[type, str, list[str]]] = [
    (HttpToolsProtocol, "_start_asgi_task", ["self", "cycle", "app"]),
    (HttpToolsProtocol, "_unset_keepalive_if_required", ["self"]),
    (HttpToolsProtocol, "on_headers_complete", ["self"]),
    (HttpToolsProtocol, "on_message_complete", ["self"]),
    (HttpToolsProtocol, "on_body", ["self", "body"]),
    (HttpToolsProtocol, "on_response_complete", ["self"]),
    (HttpToolsProtocol, "send_400_response", ["self", "msg"]),
    (Multiprocess, "handle_hup", ["self"]),
    (Multiprocess, "run", ["self"]),
    (AbstractConnection, "send_packed_command", ["self", "command", "check_health"]),
    (AbstractConnection, "disconnect", ["self", "nowait"]),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), METHODS, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_a_method_has_these_parameters(owner: type, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters)[: len(parameters)] == parameters


def test_a_request_cycle_has_these_attributes() -> None:
    names = {*inspect.signature(RequestResponseCycle).parameters, *_assigned(RequestResponseCycle.__init__)}
    assert names >= CYCLE


def test_the_protocol_has_these_attributes() -> None:
    assert _assigned(HttpToolsProtocol.__init__) >= PROTOCOL
    assert "self.url = b" in inspect.getsource(HttpToolsProtocol.on_message_begin)


def test_uvicorn_exports_these_names() -> None:
    for name in ("HEADER_RE", "HEADER_VALUE_RE", "STATUS_LINE"):
        assert hasattr(httptools_impl, name)
    assert _assigned(ServerState.__init__) >= {"default_headers", "connections", "tasks", "total_requests"}


def test_the_supervisor_has_these_attributes() -> None:
    assert _assigned(Multiprocess.__init__) >= {"processes", "should_exit", "signal_queue"}
    assert "child_conn" in inspect.getsource(Process.__init__)
    assert "timeout_worker_healthcheck" in inspect.signature(uvicorn.Config).parameters


def test_redis_py_reads_pushes() -> None:
    parameters = inspect.signature(AbstractConnection.read_response).parameters
    assert {"timeout", "disconnect_on_error", "push_request"} <= parameters.keys()
    assert hasattr(_AsyncHiredisParser, "set_invalidation_push_handler")


def _assigned(function: Any) -> set[str]:
    """The names that a method assigns to attributes of `self`."""
    return {name for line in inspect.getsource(function).splitlines() for name in _names(line)}


def _names(line: str) -> list[str]:
    stripped = line.strip()
    return [stripped.removeprefix("self.").split(":")[0].split("=")[0].strip()] if stripped.startswith("self.") else []
