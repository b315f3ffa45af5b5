"""GoatCounter's protocol: its count.js, its visitor counter and its API work with the host changed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.sites.access import Right, right_of
from app.sites.badges import badge
from app.sites.collect import GIF
from app.sites.hit import BadHit, Hit, LeftOut, event_name, hit_of
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.page_address import BadAddress, page_address
from app.sites.site_calendar import parse_day
from app.sites.top_lists import Range
from app.store.client import StoreUnavailable
from app.web.errors import BadRequest, Forbidden, NotFound, TooLarge

HEADERS = {
    "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Goatcounter",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *",
}
SCRIPT = (Path(__file__).parent / "goatcounter.js").read_bytes()
LIMITS = {"p": 2048, "t": 1024, "r": 2048, "q": 2048, "s": 100}
FIRST_BOT_CODE = 150
THIN_SPACE = "\u202f"
PERIODS = {"week": 7, "month": 30, "year": 365}
MAX_HITS = 500
MAX_STYLE_LENGTH = 4096
SENT_BY_API = b"Mozilla/5.0 (API)"
Values = Mapping[str, str]


async def count(request: Request[SitesState]) -> Response:
    """`GET` and `POST /g/{site}/count`: a pixel, whatever happens; the reason of a 400 is in `X-Goatcounter`."""
    headers = cast(dict[bytes, bytes], dict(request.scope["headers"]))
    address = request.client.host if request.client else ""
    site_id = request.path_params["site"]
    try:
        site = await request.state["known_sites"].get_to_count(site_id)
    except StoreUnavailable:
        if request.method != "HEAD":
            find = partial(request.state["known_sites"].get, site_id)
            request.state["postponed_hits"].add(find, _people_hit, dict(request.query_params), headers, address)
        return _pixel()
    if site is None:
        return _pixel(404, "there is no such site")
    if request.method == "HEAD":
        return _pixel()
    try:
        hit, is_bot = _hit(request.query_params, site, headers)
    except BadHit as error:
        return _pixel(400, str(error))
    report = request.state["hit_counter"].report(site, hit, headers)
    if is_bot:
        report = replace(report, left_out=LeftOut.BOTS)
    await (await request.state["hit_counter"].count(report, address))
    return _pixel()


async def counter(request: Request[SitesState]) -> Response:
    """`GET /g/{site}/counter/<path>.json`, `.svg` or `.html`."""
    site = await request.state["known_sites"].get(request.path_params["site"])
    if site is None:
        raise NotFound
    text, _, kind = request.path_params["path"].rpartition(".")
    if kind not in {"json", "svg", "html"}:
        raise BadRequest("path: must end with .json, .svg or .html", field="path")
    await request.state["site_store"].count_pending(site)
    number = await _number(request, site, text)
    shown = f"{number or 0:,}".replace(",", THIN_SPACE)
    status = 200 if number is not None else 404
    if kind == "json":
        return Response(
            orjson.dumps({"count": shown, "count_unique": shown}), status, HEADERS, media_type="application/json"
        )
    if kind == "svg":
        return Response(badge("visitors", shown, "#9a15a4", "flat"), status, HEADERS, media_type="image/svg+xml")
    style = escape(request.query_params.get("style", "")[:MAX_STYLE_LENGTH]).replace("@import", "")
    brand = "" if request.query_params.get("no_branding") else "<small>Tallygate</small>"
    html = (
        f'<!doctype html><meta charset="utf-8"><title>Visitors</title><style>{style}</style>'
        f'<div id="gcvc-for"><span id="gcvc-views">{shown}</span> <span id="gcvc-by">visitors</span>{brand}</div>'
    )
    return Response(html, status, HEADERS, media_type="text/html")


async def script(request: Request[SitesState]) -> Response:
    """`GET /g/{site}/count.js`."""
    if await request.state["known_sites"].get_to_count(request.path_params["site"]) is None:
        raise NotFound
    headers = HEADERS | {"Cache-Control": "public, max-age=3600"}
    return Response(SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)


async def api_count(request: Request[SitesState]) -> Response:
    """`POST /g/{site}/api/v0/count` with a user's API token: up to 500 hits, also of former days; 202."""
    site = await _site_of_token(request)
    if site is None:
        answer = {"error": "the API token is missing or wrong"}
        return Response(orjson.dumps(answer), 401, HEADERS, media_type="application/json")
    try:
        document = orjson.loads(await request.body())
        hits = document["hits"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadRequest("hits: must be a list", field="hits") from None
    if not isinstance(hits, list) or not hits:
        raise BadRequest("hits: must be a list with at least one hit", field="hits")
    if len(hits) > MAX_HITS:
        raise TooLarge
    parsed = [_api_hit(number, each, site) for number, each in enumerate(hits)]
    numbers = [
        await request.state["hit_counter"].count(
            replace(request.state["hit_counter"].report(site, hit, {b"user-agent": agent})),
            address,
            at=created,
        )
        for hit, agent, address, created in parsed
    ]
    for future in numbers:
        await future
    return Response(orjson.dumps({"status": "ok"}), 202, media_type="application/json")


def _hit(values: Values, site: Site, headers: Mapping[bytes, bytes]) -> tuple[Hit, bool]:
    """The hit of a query, and whether the script says that it is a bot's. Raises BadHit."""
    for name, most in LIMITS.items():
        if len(values.get(name, "")) > most:
            raise BadHit(f"{name}: must be at most {most} characters long")
    path = values.get("p", "")
    if not path:
        raise BadHit("p: is missing")
    code = values.get("b", "0") or "0"
    if not code.isascii() or not code.isdigit() or len(code) > 3 or 0 < int(code) < FIRST_BOT_CODE:
        raise BadHit("b: must be 0 or a code from 150")
    is_event = values.get("e", "") in {"true", "1", "on"}
    fields = {"p": "/" if is_event else path, "r": values.get("r", ""), "w": values.get("s", "")}
    hit = hit_of(fields, site, headers.get(b"referer", b""), headers.get(b"origin", b""))
    if is_event:
        hit = replace(hit, event=event_name(path[:200]))
    if not hit.referrer and values.get("q"):
        try:
            campaign = page_address("/?" + values["q"].lstrip("?")[:2000], site.rules).campaign
        except BadAddress as bad:
            raise BadHit(f"q: {bad}") from None
        hit = replace(hit, referrer=campaign[:56])
    return hit, int(code) != 0


def _people_hit(values: Values, site: Site, headers: Mapping[bytes, bytes]) -> Hit:
    """The same; the script's own word that it runs in a bot counts as malformed. Raises BadHit."""
    hit, is_bot = _hit(values, site, headers)
    if is_bot:
        raise BadHit("b: is a bot's")
    return hit


def _api_hit(number: int, each: object, site: Site) -> tuple[Hit, bytes, str, float | None]:
    """(hit, User-Agent, address, when). Raises BadRequest that names the hit."""
    try:
        if not isinstance(each, dict):
            raise BadHit("must be an object")
        texts = {name: each.get(name) or "" for name in ("path", "ref", "query", "user_agent", "ip")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise BadHit("path, ref, query, user_agent and ip must be texts")
        values = {"p": texts["path"], "r": texts["ref"], "q": texts["query"], "e": "1" if each.get("event") else ""}
        hit, _ = _hit(values, site, {})
        created = each.get("created_at")
        at = datetime.fromisoformat(str(created)) if created else None
        when = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() if at else None
    except (BadHit, BadAddress, ValueError) as error:
        raise BadRequest(f"hits.{number}: {error}", field=f"hits.{number}") from None
    return hit, texts["user_agent"].encode() or SENT_BY_API, texts["ip"], when


async def _site_of_token(request: Request[SitesState]) -> Site | None:
    """The site of the path; None without a good API token. Raises NotFound, Forbidden."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    token = await request.state["tokens"].by_secret(secret.strip()) if scheme.lower() == "bearer" else None
    user = await request.state["accounts"].by_id(token.user_id) if token is not None else None
    if token is None or user is None or user.disabled:
        return None
    if not token.allows("sites", write=request.method != "GET"):
        raise Forbidden
    site = await request.state["known_sites"].get(request.path_params["site"])
    if site is None or right_of(user, site) is Right.NONE:
        raise NotFound
    if right_of(user, site) < Right.EDIT:
        raise Forbidden
    return site


async def _number(request: Request[SitesState], site: Site, text: str) -> int | None:
    """The visits of a page, or of `TOTAL`; None for an unknown page. Raises BadRequest."""
    stats = request.state["site_stats"]
    span = _span(request.query_params, stats.today(site))
    if text == "TOTAL":
        if span is None:
            return (await stats.store.totals(site)).get("visits", 0)
        return (await stats.figures(site, span, "day")).visits
    try:
        path = page_address(text, site.rules).path
    except BadAddress as error:
        raise BadRequest(f"path: {error}", field="path") from None
    path_id = await stats.store.path_id(site, path)
    if path_id is None:
        return None
    if span is None:
        return (await stats.store.path_total(site, path_id)).visits
    return (await stats.figures(site, span, "day", path)).visits


def _span(query: Values, today: date) -> Range | None:
    """The days of `start` and `end`: week, month, year or a day each; None for all. Raises BadRequest."""
    days: dict[str, date | None] = {}
    for name in ("start", "end"):
        text = query.get(name, "")
        try:
            days[name] = (
                today - timedelta(days=PERIODS[text] - 1) if text in PERIODS else parse_day(text) if text else None
            )
        except ValueError as error:
            raise BadRequest(f"{name}: {error}", field=name) from None
    if days["start"] is None and days["end"] is None:
        return None
    last = days["end"] or today
    first = max(days["start"] or last - timedelta(days=3650), last - timedelta(days=3650))
    if first > last:
        raise BadRequest("start: must not be after end", field="start")
    return Range(first, last)


def _pixel(status: int = 200, reason: str = "") -> Response:
    more: dict[str, Any] = {"X-Goatcounter": reason.encode("ascii", "replace").decode()} if reason else {}
    return Response(GIF, status, HEADERS | more, media_type="image/gif")
