"""The home page, which counts its visits; their total; and the stream that tells of new ones."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.counter.hits import counts
from app.counter.live import Live
from app.counter.tally import Tally
from app.store.client import StoreAway
from app.web.answers import json_answer
from app.web.errors import Unavailable
from app.web.locale import choose
from app.web.negotiate import asks_for_json
from app.web.pages import Pages
from app.web.state import WebState

HOME = "home"
"""The name of the home page's counter."""
COUNTERS = (HOME,)
EXAMPLE = 987_654_321
"""Stands for the number in the page that is kept: once plain and once with separators, in this order."""
JSON_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Cookie, Accept, Accept-Language"),
]
HTML_HEADERS = [(b"content-type", b"text/html; charset=utf-8"), *JSON_HEADERS[1:]]


class CounterState(WebState):
    tally: Tally
    live: Live


class Home:
    """`GET /`: raw ASGI, because it is the hot path; Request and Response objects would cost half as much again."""

    def __init__(self) -> None:
        self._pieces: dict[str, tuple[str, str, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = cast(CounterState, scope["state"])
        headers = dict(scope["headers"])
        counted = counts(scope["method"], headers)
        number = await state["tally"].hit(HOME) if counted else await _total(state["tally"])
        if asks_for_json(headers.get(b"accept", b""), headers.get(b"sec-fetch-mode", b"navigate")):
            body, kind = b'{"visits":%s}' % (b"null" if number is None else b"%d" % number), JSON_HEADERS
        else:
            locale = choose(headers.get(b"cookie", b""), headers.get(b"accept-language", b""))
            if counted and number is not None:
                body, kind = self._page(state["pages"], locale, number), HTML_HEADERS
            else:
                body, kind = _page(state["pages"], locale, number, counted=counted), HTML_HEADERS
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [*kind, length]})
        await send({"type": "http.response.body", "body": body})

    def _page(self, pages: Pages, locale: str, number: int) -> bytes:
        """The page of a counted visit: rendered once a language, for a number that is then replaced."""
        pieces = self._pieces.get(locale)
        if pieces is None:
            html = _page(pages, locale, EXAMPLE, counted=True).decode()
            start, rest = html.split(str(EXAMPLE))
            middle, end = rest.split(f"{EXAMPLE:,}")
            pieces = self._pieces[locale] = (start, middle, end)
        start, middle, end = pieces
        return f"{start}{number}{middle}{number:,}{end}".encode()


def _page(pages: Pages, locale: str, number: int | None, *, counted: bool) -> bytes:
    template = pages.template(locale, "counter/home.html")
    return template.render(path="/", visits=number, counted=counted).encode()


async def visits(request: Request[CounterState]) -> Response:
    """`GET /api/visits`: the total, without counting; 503 while Redis is away."""
    (total,) = await request.state["tally"].totals(HOME)
    return json_answer({"visits": total})


async def visit_events(request: Request[CounterState]) -> Response:
    """`GET /events/visits`: server-sent events, `visits` with the total as JSON: now, and after each change."""
    state = request.state
    if state["live"].watchers >= state["settings"].max_streams:
        raise Unavailable("Too many streams are open. Please try again in a moment.", retry_after=30)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(state), media_type="text/event-stream", headers=headers)


async def _events(state: CounterState) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async with aclosing(state["live"].watch(HOME, state["lifecycle"].stopping)) as totals:
        async for total in totals:
            yield ": still here\n\n" if total is None else f'event: visits\ndata: {{"visits": {total}}}\n\n'
    yield "event: bye\ndata: {}\n\n"


async def _total(tally: Tally) -> int | None:
    try:
        (total,) = await tally.totals(HOME)
    except StoreAway:
        return None
    return total


routes = [
    Route("/", Home(), methods=["GET"]),
    Route("/api/visits", visits),
    Route("/events/visits", visit_events),
]
