"""Spans of outgoing calls. This module does not import OpenTelemetry, which is optional (tracing.py)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol


class ClientSpan(Protocol):
    """The span of one outgoing call."""

    @property
    def headers(self) -> "MappingProxyType[str, str]":
        """The headers that tell the called server of the trace."""

    def respond(self, status: int) -> None:
        """Records the status of the response."""


BeginSpan = Callable[[str, str], AbstractContextManager[ClientSpan]]


class _NoSpan:
    headers: MappingProxyType[str, str] = MappingProxyType({})

    def respond(self, status: int) -> None:
        """Records nothing."""


_UNTRACED: AbstractContextManager[ClientSpan] = nullcontext(_NoSpan())
begin_span: ContextVar[BeginSpan | None] = ContextVar("begin_span", default=None)
"""Starts the span of an outgoing call; None without tracing."""


def client_span(method: str, host: str) -> AbstractContextManager[ClientSpan]:
    """The span of a call of this host; one that records nothing without tracing."""
    begin = begin_span.get()
    return _UNTRACED if begin is None else begin(method, host)
