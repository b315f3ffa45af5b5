"""`/live`: would a restart help? `/ready`: may requests come?

The loss of Redis takes no worker out of a load balancer: it is lost for all of them at once, and pages are shown and
visits wait without it.

A feature registers a check of its own in its part of the lifespan: `state["health"].add("redis", check)`.
"""

import asyncio
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
"""Returns a problem that an operator should solve although requests are answered; None if there is none."""
CHECK_LIMIT = 1.0
"""Seconds for all checks together, less than a probe waits."""


class HealthChecks:
    """The checks of `/ready`, by the name of the part."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._warnings: list[Warn] = []
        self.reached = False
        """Whether all checks have passed once."""
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
        name = ""
        try:
            async with asyncio.timeout(CHECK_LIMIT):
                for name, check in self._checks.items():
                    if (reason := await check()) is not None:
                        return f"{name}: {reason}"
        except TimeoutError:
            return f"{name}: no answer within {CHECK_LIMIT:g} s"
        self.reached = True
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
    """200 when requests may come; 503 with the reason until all checks have passed once, while stopping, or broken.

    `?store` asks for the store as well: 503 while it is away or refuses something.
    """
    lifecycle, health = request.state["lifecycle"], request.state["health"]
    if lifecycle.leaving:
        return _response(503, status="unavailable", reason="stopping")
    if lifecycle.broken:
        return _response(503, status="unavailable", reason=BROKEN)
    reason, refused = await health.failure(), health.refused()
    told: dict[str, Any] = {}
    if refused is not None or reason is not None:
        told["store"] = "away" if refused is None else "refused"
    if reason is not None:
        told["reason"] = reason if refused is None else f"redis: {refused}"
    if (reason is not None and not health.reached) or (told and "store" in request.query_params):
        return _response(503, status="unavailable", **told)
    if warnings := health.warnings():
        told["warnings"] = warnings
    return _response(200, status="ready", **told)


def _response(status_code: int, **content: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(content), status_code, headers, media_type="application/json")


routes = [Route("/live", live), Route("/ready", ready)]
PROBES = frozenset(route.path for route in routes)
"""Asked every few seconds by an orchestrator, under whatever address the process has."""
