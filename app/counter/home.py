"""The home page, which counts its visits. It is the hot path."""

from functools import partial
from typing import cast

import orjson
from starlette.types import Scope

from app.accounts.models import User
from app.counter.lifespan import HOME, CounterState
from app.counter.tally import Tally
from app.sessions.session import Session, take_flash
from app.store.client import StoreUnavailable
from app.web.errors import Unavailable
from app.web.fast_path import Deferred, FastEndpoint, FastResponse, StaticHeaders
from app.web.headers import headers_of
from app.web.i18n import N_, choose
from app.web.negotiate import asks_for_json
from app.web.prefetch import is_prefetch
from app.web.templating import Pages

EXAMPLE = 987_654_321
"""The placeholder number in a cached page: once plain and once with separators, in this order."""
MAX_CACHED_RESPONSES = 1000
"""Cached pages: one per language for visitors, and one per signed-in user."""
PRIVATE = ((b"cache-control", b"no-store"), (b"vary", b"Cookie, Accept, Accept-Language"))
JSON_HEAD = StaticHeaders((b"content-type", b"application/json"), *PRIVATE)
HTML_HEAD = StaticHeaders((b"content-type", b"text/html; charset=utf-8"), *PRIVATE)
Pieces = tuple[str, str, str]


class Home(FastEndpoint):
    """`GET /`: counts the visit and responds with its number."""

    def __init__(self) -> None:
        self._cached: dict[tuple[Pages, str, User | None, str], Pieces] = {}

    def try_fast(self, scope: Scope) -> Deferred | None:
        """A counted visit without a session or with a cached one; a page only if it is cached."""
        state = cast(CounterState, scope["state"])
        headers = headers_of(scope)
        cookies = headers.get(b"cookie", b"")
        user, flash = None, False
        if cookies:
            known = state["current_user"].cached(scope, cookies)
            if known is not None:
                user, flash = known[0], known[1].has_flash
            elif not state["sessions"].absent(scope, cookies):
                return None
        if scope["method"] != "GET" or is_prefetch(headers):
            return None
        if asks_for_json(headers):
            return Deferred((state["tally"].hit(HOME), partial(_json, user)))
        locale = choose(cookies, headers.get(b"accept-language", b""))
        announcement = state["settings"].announcement
        if flash or (state["pages"], locale, user, announcement) not in self._cached:
            return None
        return Deferred((state["tally"].hit(HOME), partial(self._page, state["pages"], locale, user, announcement)))

    async def handle(self, scope: Scope) -> FastResponse:
        state = cast(CounterState, scope["state"])
        headers = headers_of(scope)
        if scope["method"] == "GET" and is_prefetch(headers):
            # A page that is shown later is not asked for again, so its visit would never be counted. Browsers drop a
            # prefetched 503 and ask when the page is really opened.
            raise Unavailable(N_("The page counts its visits: it is served when it is opened, not in advance."))
        counted = scope["method"] == "GET"
        hit = state["tally"].hit(HOME) if counted else None
        user, session = await _visitor(state, scope, headers.get(b"cookie", b""))
        number = await _total(state["tally"]) if hit is None else await hit
        if asks_for_json(headers):
            return _json(user, number)
        locale = choose(headers.get(b"cookie", b""), headers.get(b"accept-language", b""))
        flash = take_flash(session) if session is not None and scope["method"] == "GET" else None
        announcement = state["settings"].announcement
        if counted and flash is None:
            return self._page(state["pages"], locale, user, announcement, number)
        page = _render(state["pages"], locale, number, user, announcement, flash, counted=counted)
        return HTML_HEAD, page.encode()

    def _page(
        self, pages: Pages, locale: str, user: User | None, announcement: str, number: int | None
    ) -> FastResponse:
        """The page of a counted visit: rendered once with a placeholder, which the number then replaces."""
        pieces = self._cached.get((pages, locale, user, announcement)) or self._cache_pieces(
            pages, locale, user, announcement
        )
        if number is None or pieces is None:
            return HTML_HEAD, _render(pages, locale, number, user, announcement, None, counted=True).encode()
        start, middle, end = pieces
        return HTML_HEAD, f"{start}{number}{middle}{number:,}{end}".encode()

    def _cache_pieces(self, pages: Pages, locale: str, user: User | None, announcement: str) -> Pieces | None:
        """The parts around the numbers; None where a name or the announcement contains the placeholder."""
        parts = _render(pages, locale, EXAMPLE, user, announcement, None, counted=True).split(str(EXAMPLE))
        rest = parts[-1].split(f"{EXAMPLE:,}")
        if len(parts) != 2 or len(rest) != 2:
            return None
        if len(self._cached) >= MAX_CACHED_RESPONSES:
            self._cached.clear()
        pieces = self._cached[pages, locale, user, announcement] = (parts[0], rest[0], rest[1])
        return pieces


def _render(
    pages: Pages,
    locale: str,
    number: int | None,
    user: User | None,
    announcement: str,
    flash: str | None,
    *,
    counted: bool,
) -> str:
    return pages.template(locale, "counter/home.html").render(
        path="/",
        visits=number,
        counted=counted,
        user=user,
        announcement=announcement,
        sign_in_url="/sign-in",
        flash=pages.translate(locale, flash) if flash else None,
    )


def _json(user: User | None, number: int | None) -> FastResponse:
    visits = b"null" if number is None else b"%d" % number
    if user is None:
        return JSON_HEAD, b'{"visits":%s}' % visits
    return JSON_HEAD, b'{"visits":%s,"user":{"name":%s}}' % (visits, orjson.dumps(user.name))


async def _visitor(state: CounterState, scope: Scope, cookies: bytes) -> tuple[User | None, Session | None]:
    """The signed-in user, and the session if it may hold a flash message. (None, None) while Redis is away."""
    if not cookies:
        return None, None
    known = state["current_user"].cached(scope, cookies)
    if known is not None and not known[1].has_flash:
        return known[0], None
    try:
        return await state["current_user"].get(scope), await state["sessions"].open(scope)
    except StoreUnavailable:
        return None, None


async def _total(tally: Tally) -> int | None:
    try:
        (total,) = await tally.totals(HOME)
    except StoreUnavailable:
        return None
    return total
