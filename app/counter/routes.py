"""The home page, the total of its visits, and the stream of changes."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from pydantic import NonNegativeInt
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.counter.home import Home
from app.counter.lifespan import HOME, CounterState
from app.web.errors import Unavailable
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response


class Visits(ResponseModel):
    visits: NonNegativeInt


async def visits(request: Request[CounterState]) -> Response:
    """`GET /api/visits`: the total, without counting; 503 while Redis is away."""
    (total,) = await request.state["tally"].totals(HOME)
    return json_response(Visits(visits=total))


async def visit_events(request: Request[CounterState]) -> Response:
    """`GET /events/visits`: server-sent events, `visits` with the total as JSON: now, and after each change."""
    state = request.state
    if state["live"].watchers >= state["settings"].max_streams:
        raise Unavailable(N_("Too many streams are open. Please try again in a moment."), retry_after=30)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(media_type="text/event-stream", headers=headers)
    return StreamingResponse(_events(state), media_type="text/event-stream", headers=headers)


async def _events(state: CounterState) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async with aclosing(state["live"].watch(HOME, state["lifecycle"].stopping)) as totals:
        async for total in totals:
            yield ": still here\n\n" if total is None else f'event: visits\ndata: {{"visits": {total}}}\n\n'
    yield "event: bye\ndata: {}\n\n"


VISITS = Operation(
    summary="The home page's visits, without counting one",
    tag="visits",
    responses={200: ("The total.", Visits)},
)

routes = [
    Route("/", Home(), methods=["GET"]),
    ApiRoute("GET", "/api/visits", visits, VISITS),
    Route("/events/visits", visit_events),
]
