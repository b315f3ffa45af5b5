"""The private parts of uvicorn and redis-py that the service uses: an upgrade that changes one fails here, by name."""

import inspect
import tomllib

import pytest
from redis.asyncio.connection import AbstractConnection, Connection
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from tests.helpers.service import ROOT


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            HttpToolsProtocol,
            "connection_made data_received on_message_begin on_headers_complete on_body on_message_complete "
            "on_response_complete _start_asgi_task _unset_keepalive_if_required",
        ),
        (RequestResponseCycle, "run_asgi send receive"),
        (Multiprocess, "handle_hup keep_subprocess_alive"),
        (Process, "ping is_alive exitcode pid"),
        (Server, "handle_exit"),
        (AbstractConnection, "send_command send_packed_command read_response disconnect connect"),
    ],
)
def test_the_methods_that_are_called_or_overridden_exist(owner: type, names: str) -> None:
    assert [name for name in names.split() if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            HttpToolsProtocol,
            "parser url headers scope cycle transport flow pipeline app_state server_state logger",
        ),
        (
            RequestResponseCycle,
            "scope transport flow default_headers message_event on_response disconnected keep_alive "
            "waiting_for_100_continue response_started response_complete chunked_encoding expected_content_length",
        ),
        (FlowControl, "read_paused write_paused"),
        (Multiprocess, "processes should_exit signal_queue"),
        (Process, "child_conn parent_conn"),
        (AbstractConnection, "_parser"),
    ],
)
def test_the_attributes_that_are_used_are_set(owner: type, names: str) -> None:
    source = inspect.getsource(owner)
    assert [name for name in names.split() if f"self.{name}" not in source] == []


def test_responses_and_pushes_are_read_with_these_arguments() -> None:
    parameters = inspect.signature(Connection.read_response).parameters
    assert {"timeout", "disconnect_on_error", "push_request"} <= set(parameters)
    assert "check_health" in inspect.signature(Connection.send_packed_command).parameters


@pytest.mark.parametrize("package", ["uvicorn", "redis"])
def test_their_versions_have_an_upper_bound(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = [line for line in project["dependencies"] if line.startswith((f"{package}[", f"{package}>"))]
    assert ",<" in found
