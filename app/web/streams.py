"""Event streams: their bound (`max_streams`) and their headers."""

from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.settings import Settings
from app.web.errors import Unavailable
from app.web.i18n import N_

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The latter turns nginx's buffering off."""
RETRY_AFTER = 30


class OpenStreams:
    """The event streams and long polls of a worker. `max_streams` bounds their sum: each feature adds its count."""

    def __init__(self) -> None:
        self.counts: list[Callable[[], int]] = []

    def __len__(self) -> int:
        return sum(count() for count in self.counts)

    def full(self, settings: Settings) -> bool:
        return len(self) >= settings.max_streams


def admit(request: Request[Any]) -> None:
    """Raises 503, and logs it, where `max_streams` are open."""
    settings = request.state["settings"]
    if request.state["streams"].full(settings):
        log = structlog.get_logger("app")
        log.warning("a stream is refused: max_streams are open", max_streams=settings.max_streams)
        raise Unavailable(N_("Too many streams are open. Please try again in a moment."), retry_after=RETRY_AFTER)


def event_stream(
    request: Request[Any], events: AsyncIterable[str | bytes], headers: Mapping[str, str] = HEADERS
) -> Response:
    """Server-sent events; a HEAD request gets their headers."""
    if request.method == "HEAD":
        return Response(media_type="text/event-stream", headers=headers)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
