"""`/live`: would a restart help? `/ready`: may requests come?

A feature registers a check of its own in its part of the lifespan: `state["health"].add("counter", check)`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.server.lifecycle import Lifecycle

BROKEN = "background work has stopped: see the log"
Check = Callable[[], Awaitable[str | None]]
"""Returns why the part is not ready, in one line; None when it is ready. Must not raise."""
Warn = Callable[[], str | None]
"""Returns what an operator should mend although requests are answered; None when all is well."""


class HealthChecks:
    """The checks of `/ready`, by the name of the part."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._warnings: list[Warn] = []
        self.refused: Warn = lambda: None
        """Returns what Redis refuses, in one line; None while it refuses nothing."""

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check

    def add_warning(self, warn: Warn) -> None:
        self._warnings.append(warn)

    def warnings(self) -> list[str]:
        return [text for warn in (self.refused, *self._warnings) if (text := warn()) is not None]

    async def failure(self) -> str | None:
        """The first part that is not ready: "redis: ..."; None when all are."""
        for name, check in self._checks.items():
            reason = await check()
            if reason is not None:
                return f"{name}: {reason}"
        return None


class HealthState(TypedDict):
    lifecycle: Lifecycle
    health: HealthChecks


async def live(request: Request[HealthState]) -> Response:
    """200 unless a restart would help. A restart does not bring Redis back."""
    if request.state["lifecycle"].broken:
        return _response(503, status="broken", reason=BROKEN)
    return _response(200, status="live")


async def ready(request: Request[HealthState]) -> Response:
    """200 when requests may come; 503 with the reason while stopping, broken or when a check fails."""
    lifecycle = request.state["lifecycle"]
    if lifecycle.leaving:
        return _response(503, status="unavailable", reason="stopping")
    if lifecycle.broken:
        return _response(503, status="unavailable", reason=BROKEN)
    health = request.state["health"]
    reason = await health.failure()
    refused = health.refused()
    store = {} if refused is None else {"store": "refused"}
    if reason is not None:
        return _response(503, status="unavailable", **store, reason=f"redis: {refused}" if refused else reason)
    warnings = health.warnings()
    return _response(200, status="ready", **store, **({"warnings": warnings} if warnings else {}))


def _response(status_code: int, **content: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(content), status_code, headers, media_type="application/json")


routes = [Route("/live", live), Route("/ready", ready)]
