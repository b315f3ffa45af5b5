"""`/c/{site}`: pages report hits here, and load the script that reports them."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.sites.batch import HitTotals
from app.sites.hit import BadHit, Hit, body_values, hit_of, page_of, query_values
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.store.client import StoreUnavailable
from app.web.fast_path import Deferred, FastEndpoint, FastResponse, StaticHeaders, respond
from app.web.headers import headers_of

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""One transparent pixel, 43 bytes."""
MAX_REPORT_BYTES = 16_384
"""Of the body of a hit."""
RawHeader = tuple[bytes, bytes]
CROSS_ORIGIN: tuple[RawHeader, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"X-Tally-Error"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors *"),
)
NO_STORE = (b"cache-control", b"no-store, no-cache, must-revalidate, max-age=0")
GIF_TYPE, JSON_TYPE = (b"content-type", b"image/gif"), (b"content-type", b"application/json")
GIF_HEADERS = StaticHeaders(GIF_TYPE, NO_STORE, *CROSS_ORIGIN)
JSON_HEADERS = StaticHeaders(JSON_TYPE, NO_STORE, *CROSS_ORIGIN, (b"vary", b"Accept"))
EMPTY_HEADERS = StaticHeaders(NO_STORE, *CROSS_ORIGIN, status=204)
PREFLIGHT_HEADERS = StaticHeaders(
    *CROSS_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"Accept, Content-Type"),
    (b"access-control-max-age", b"86400"),
    status=204,
)
UNKNOWN_SITE = StaticHeaders(
    GIF_TYPE, NO_STORE, *CROSS_ORIGIN, (b"x-tally-error", b"there is no such site"), status=404
)
SCRIPT_TYPE = (b"content-type", b"text/javascript; charset=utf-8")
SCRIPT_CACHE = (b"cache-control", b"public, max-age=3600")
UNKNOWN = b'{"page":null,"site":null,"visitors":null}'


class Collect(FastEndpoint):
    """`GET`, `HEAD`, `POST` and `OPTIONS` of everything below `/c/`."""

    def try_fast(self, scope: Scope) -> Deferred | None:
        """Counts a hit of a cached site."""
        site_id, _, rest = scope["path"].split("/", 2)[2].partition("/")
        state: SitesState = scope["state"]
        site = state["known_sites"].cached(site_id)
        counter, headers = state["hit_counter"], headers_of(scope)
        if site is None or scope["method"] != "GET" or (rest and _is_special(rest)) or not counter.is_ready:
            return None
        try:
            report = counter.query_report(site, scope["query_string"], headers)
        except BadHit:
            return None
        want_totals = _wants_totals(headers)
        future = counter.count_now(report, _address(scope), want_totals=want_totals)
        if future is None:
            return None
        return Deferred((future, _totals_response if want_totals else _gif))

    async def handle(self, scope: Scope) -> FastResponse:
        """GET and HEAD."""
        site_id, _, rest = scope["path"].split("/", 2)[2].partition("/")
        is_script = (rest or site_id).endswith(".js")
        site_id = site_id.removesuffix(".js")
        state = cast(SitesState, scope["state"])
        try:
            site = await state["known_sites"].get_to_count(site_id)
        except StoreUnavailable:
            if is_script:
                return _script(site_id, headers_of(scope))
            try:
                values = query_values(scope["query_string"])
            except BadHit as error:
                return bad_hit(error)
            if scope["method"] == "GET" and rest != "count":
                _postpone(state, scope, site_id, values)
            return _totals_response(None) if rest == "count" or _wants_totals(headers_of(scope)) else _gif(None)
        if site is None:
            return UNKNOWN_SITE, GIF
        if is_script:
            return _script(site_id, headers_of(scope))
        if rest == "count":
            return await _read(state, site, scope["query_string"])
        if scope["method"] == "HEAD":
            return GIF_HEADERS, GIF
        headers = headers_of(scope)
        want_totals = _wants_totals(headers)
        await state["hit_counter"].ready()
        try:
            report = state["hit_counter"].query_report(site, scope["query_string"], headers)
        except BadHit as error:
            return bad_hit(error)
        totals = await (await state["hit_counter"].count(report, _address(scope), want_totals=want_totals))
        return _totals_response(totals) if want_totals else _gif(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in {"GET", "HEAD"}:
            await super().__call__(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            outcome: FastResponse = PREFLIGHT_HEADERS, b""
        else:
            outcome = await self._post(scope, receive)
        await respond(outcome, send)

    async def _post(self, scope: Scope, receive: Receive) -> FastResponse:
        state = cast(SitesState, scope["state"])
        headers = headers_of(scope)
        want_totals = _wants_totals(headers)
        site_id = scope["path"].split("/", 3)[2]
        try:
            values = await _posted_values(scope, receive, headers)
            site = await state["known_sites"].get_to_count(site_id)
            if site is None:
                return UNKNOWN_SITE, GIF
            hit = page_hit(values, site, headers)
        except BadHit as error:
            return bad_hit(error)
        except StoreUnavailable:
            _postpone(state, scope, site_id, values)
            return _totals_response(None) if want_totals else (EMPTY_HEADERS, b"")
        report = await state["hit_counter"].report(site, hit, headers)
        totals = await (await state["hit_counter"].count(report, _address(scope), want_totals=want_totals))
        return _totals_response(totals) if want_totals else (EMPTY_HEADERS, b"")


def bad_hit(error: Exception) -> FastResponse:
    """400 with the pixel and the reason; nothing is counted."""
    reason = str(error).encode("ascii", "replace")
    return StaticHeaders(GIF_TYPE, NO_STORE, *CROSS_ORIGIN, (b"x-tally-error", reason), status=400), GIF


async def _posted_values(scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> dict[str, str]:
    """The fields of the query and the body; the body wins. Raises BadHit."""
    body = b""
    async for piece in Request(scope, receive).stream():
        body += piece
        if len(body) > MAX_REPORT_BYTES:
            raise BadHit(f"body: must be at most {MAX_REPORT_BYTES} bytes long")
    return {**query_values(scope["query_string"]), **body_values(body, headers.get(b"content-type", b""))}


def page_hit(values: Mapping[str, str], site: Site, headers: Mapping[bytes, bytes]) -> Hit:
    """Raises BadHit."""
    return hit_of(values, site, headers.get(b"referer", b""), headers.get(b"origin", b""))


def _postpone(state: SitesState, scope: Scope, site_id: str, values: Mapping[str, str]) -> None:
    """Counts the hit when Redis is back."""
    site = partial(state["known_sites"].get, site_id)
    state["postponed_hits"].add(site, page_hit, values, headers_of(scope), _address(scope))


async def _read(state: SitesState, site: Site, query: bytes) -> FastResponse:
    """`GET /c/{site}/count?p=` (or `u=`): the totals of a page, without counting a hit."""
    try:
        values = query_values(query)
        path = page_of("p", values.get("p") or values.get("u") or "/", site).path
    except BadHit as error:
        return bad_hit(error)
    try:
        await state["site_store"].count_pending(site)
        totals = await state["site_stats"].totals(site, path)
    except StoreUnavailable:
        return _totals_response(None)
    return _totals_response(totals)


def _script(site_id: str, headers: dict[bytes, bytes]) -> FastResponse:
    """The script of a site; only the id differs between sites."""
    text, tag = script_of(site_id)
    common = ((b"etag", tag), SCRIPT_CACHE, *CROSS_ORIGIN)
    known = headers.get(b"if-none-match", b"")
    if tag in known or known == b"*":
        return StaticHeaders(*common, status=304), b""
    return StaticHeaders(SCRIPT_TYPE, *common), text


@lru_cache(maxsize=1024)
def script_of(site_id: str) -> tuple[bytes, bytes]:
    text = _template().replace(b'"SITE"', b'"%b"' % site_id.encode())
    return text, b'"%b"' % hashlib.sha256(text).hexdigest()[:20].encode()


@lru_cache(maxsize=1)
def _template() -> bytes:
    return (Path(__file__).parent / "tally.js").read_bytes()


def _is_special(rest: str) -> bool:
    return rest == "count" or rest.endswith(".js")


def _wants_totals(headers: dict[bytes, bytes]) -> bool:
    return b"application/json" in headers.get(b"accept", b"")[:200]


def _address(scope: Scope) -> str:
    client = scope["client"]
    return client[0] if client else ""


def _gif(_: HitTotals | None) -> FastResponse:
    return GIF_HEADERS, GIF


def _totals_response(totals: HitTotals | None) -> FastResponse:
    if totals is None:
        return JSON_HEADERS, UNKNOWN
    return JSON_HEADERS, b'{"page":%d,"site":%d,"visitors":%d}' % (totals.page, totals.site, totals.visitors)
