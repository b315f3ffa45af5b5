"""Event streams: their bound (`max_streams`) and their headers."""

from collections.abc import AsyncIterable, Mapping
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


def admit(held: int, settings: Settings) -> None:
    """Raises 503, and logs it, where as many streams or waiting requests are held as may be."""
    most = settings.max_streams
    if held >= most:
        structlog.get_logger("app").warning("a stream is refused: max_streams are open", max_streams=most)
        raise Unavailable(N_("Too many streams are open. Please try again in a moment."), retry_after=RETRY_AFTER)


def event_stream(
    request: Request[Any], events: AsyncIterable[str | bytes], headers: Mapping[str, str] = HEADERS
) -> Response:
    """Server-sent events; a HEAD request gets their headers."""
    if request.method == "HEAD":
        return Response(media_type="text/event-stream", headers=headers)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
