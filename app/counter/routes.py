"""The home page, the total of its visits, and the stream of changes."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from pydantic import NonNegativeInt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.counter.home import Home
from app.counter.lifespan import HOME, CounterState
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response
from app.web.streams import admit, event_stream


class Visits(ResponseModel):
    visits: NonNegativeInt


async def visits(request: Request[CounterState]) -> Response:
    """`GET /api/visits`: the total, without counting; 503 while Redis is away."""
    (total,) = await request.state["tally"].totals(HOME)
    return json_response(Visits(visits=total))


async def visit_events(request: Request[CounterState]) -> Response:
    """`GET /events/visits`: server-sent events, `visits` with the total as JSON: now, and after each change."""
    state = request.state
    admit(request)
    return event_stream(request, _events(state))


async def _events(state: CounterState) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async with aclosing(state["live"].watch(HOME, state["lifecycle"].stopping)) as totals:
        async for total in totals:
            yield ": still here\n\n" if total is None else f'event: visits\ndata: {{"visits": {total}}}\n\n'
    yield "event: bye\ndata: {}\n\n"


VISITS = Operation("The home page's visits, without counting one", Visits, tag="visits")

routes = [
    Route("/", Home(), methods=["GET"]),
    ApiRoute("GET", "/api/visits", visits, VISITS),
    Route("/events/visits", visit_events),
]
