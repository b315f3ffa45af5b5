"""GoatCounter's protocol: its count.js, its visitor counter and its API work with the host changed."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.sites.access import Right, right_of
from app.sites.badges import badge
from app.sites.collect import GIF
from app.sites.hit import BadHit, Exclusion, Hit, event_name, hit_of, query_values
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.page_address import BadAddress, asked_path, page_address
from app.sites.protocols import cross_origin
from app.sites.protocols.cross_origin import cross_origin_json, errors_as_json
from app.sites.referrers import referrer_name
from app.sites.site_calendar import parse_day
from app.sites.top_lists import Range
from app.store.client import StoreUnavailable
from app.web.body import first_mistake
from app.web.errors import BadRequest, Forbidden, NotFound, TooLarge

HEADERS = cross_origin.HEADERS | {
    "Access-Control-Expose-Headers": "X-Goatcounter",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *",
}
SCRIPT = (Path(__file__).parent / "goatcounter.js").read_bytes()
LIMITS = {"p": 2048, "t": 1024, "r": 2048, "q": 2048, "s": 100}
FIRST_BOT_CODE = 150
THIN_SPACE = "\u202f"
PERIODS = {"week": 7, "month": 30, "year": 365}
MAX_HITS = 500
MAX_STYLE_LENGTH = 4096
FRAME_STYLE = (
    "body{margin:0}div{box-sizing:border-box;width:200px;padding:2px;border:2px solid #9a15a4;border-radius:2px;"
    "font:bold 14px/1.3 sans-serif;text-align:center;color:#9a15a4;background:#fff}#gcvc-views{font-size:22px}"
)
"""Of the visitor counter, in a frame of 200 x 80 pixels; the page's own `style` comes after it."""
SENT_BY_API = b"Mozilla/5.0 (API)"
Values = Mapping[str, str]


class ApiHit(BaseModel):
    """A hit that a server reports; unknown fields may be omitted or null."""

    model_config = ConfigDict(strict=True, frozen=True)
    path: Annotated[str, Field(min_length=1, max_length=LIMITS["p"])]
    event: bool | None = None
    ref: Annotated[str, Field(max_length=LIMITS["r"])] | None = None
    query: Annotated[str, Field(max_length=LIMITS["q"])] | None = None
    user_agent: Annotated[str, Field(max_length=2048)] | None = None
    ip: Annotated[str, Field(max_length=100)] | None = None
    session: Annotated[str, Field(max_length=200)] | None = None
    """An id of the visitor, if the server has one."""
    created_at: datetime | None = None


class ApiHits(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    hits: Annotated[list[ApiHit], Field(min_length=1)]
    no_sessions: bool | None = None
    """Counts only visits, not visitors."""
    filter: list[Literal["ip"]] | None = None
    """`ip`, the default, leaves out the site's own addresses; an empty list counts them."""


async def count(request: Request[SitesState]) -> Response:
    """`GET` and `POST /g/{site}/count`: a pixel, whatever happens; the reason of a 400 is in `X-Goatcounter`."""
    headers = cast(dict[bytes, bytes], dict(request.scope["headers"]))
    address = request.client.host if request.client else ""
    known, site_id, counts = request.state["known_sites"], request.path_params["site"], request.method != "HEAD"
    try:
        values = query_values(request.scope["query_string"])
        site = await known.get_to_count(site_id)
        if site is None:
            return _pixel(404, "there is no such site")
        hit, is_bot = _hit(values, site, headers)
    except BadHit as error:
        return _pixel(400, str(error))
    except StoreUnavailable:
        if counts:
            request.state["postponed_hits"].add(partial(known.get, site_id), _people_hit, values, headers, address)
        return _pixel()
    if counts:
        report = await request.state["hit_counter"].report(site, hit, headers)
        if is_bot:
            report = replace(report, exclusion=Exclusion.BOTS)
        await (await request.state["hit_counter"].count(report, address))
    return _pixel(202, "the address is ignored") if site.ignores(address) else _pixel()


@errors_as_json
async def counter(request: Request[SitesState]) -> Response:
    """`GET /g/{site}/counter/<path>.json`, `.svg` or `.html`."""
    site = await request.state["known_sites"].get(request.path_params["site"])
    if site is None:
        raise NotFound("there is no such site")
    text, _, kind = request.path_params["path"].rpartition(".")
    if kind not in {"json", "svg", "html"}:
        raise BadRequest("path: must end with .json, .svg or .html", field="path")
    await request.state["site_store"].count_pending(site)
    number = await _number(request, site, text)
    shown = f"{number or 0:,}".replace(",", THIN_SPACE)
    status = 200 if number is not None else 404
    if kind == "json":
        text = f'{{"count_unique":"{shown}", "count":"{shown}"}}'
        return Response(text, status, HEADERS, media_type="application/json")
    if kind == "svg":
        return Response(badge("views", shown, "#9a15a4", "flat"), status, HEADERS, media_type="image/svg+xml")
    style = request.query_params.get("style", "")[:MAX_STYLE_LENGTH].replace("<", r"\3c ")
    brand = "" if request.query_params.get("no_branding") else '<br><span id="gcvc-by">stats by Tallygate</span>'
    what = "site" if text == "TOTAL" else "page"
    html = (
        f'<!doctype html><meta charset="utf-8"><title>Visits</title><style>{FRAME_STYLE}{style}</style>'
        f'<div><span id="gcvc-for">Views for this {what}:</span><br><span id="gcvc-views">{shown}</span>{brand}</div>'
    )
    return Response(html, status, HEADERS, media_type="text/html")


@errors_as_json
async def script(request: Request[SitesState]) -> Response:
    with suppress(StoreUnavailable):
        if await request.state["known_sites"].get_to_count(request.path_params["site"]) is None:
            raise NotFound("there is no such site")
    headers = HEADERS | {"Cache-Control": "public, max-age=3600"}
    return Response(SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)


@errors_as_json
async def api_count(request: Request[SitesState]) -> Response:
    """`POST /g/{site}/api/v0/count` with a user's API token: up to 500 hits, also of former days; 202."""
    site = await _site_of_token(request)
    if site is None:
        return cross_origin_json({"error": "the API token is missing or wrong"}, 401, {"WWW-Authenticate": "Bearer"})
    try:
        body = ApiHits.model_validate_json(await request.body())
    except ValidationError as error:
        name, message = first_mistake(error)
        raise BadRequest(f"{name or 'body'}: {message}", field=name or "body") from None
    if len(body.hits) > MAX_HITS:
        raise TooLarge(f"hits: must be at most {MAX_HITS}")
    if body.filter == []:
        site = replace(site, networks=())
    parsed = [_api_hit(number, each, site) for number, each in enumerate(body.hits)]
    counter, numbers = request.state["hit_counter"], []
    for hit, each in zip(parsed, body.hits, strict=True):
        report = await counter.report(site, hit, {b"user-agent": (each.user_agent or "").encode() or SENT_BY_API})
        address = each.ip or ""
        if each.session:
            report = replace(report, agent=b"session " + each.session.encode())
            address = address if site.ignores(address) else ""
        if body.no_sessions:
            report = replace(report, is_private=True)
        numbers.append(await counter.count(report, address, _timestamp(each.created_at)))
    for future in numbers:
        await future
    left_out = [str(number) for number, each in enumerate(body.hits) if site.ignores(each.ip or "")]
    return cross_origin_json({"status": "ok"}, 202, {"X-Goatcounter-Filter": ", ".join(left_out)} if left_out else None)


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
        hit = replace(hit, event=event_name((path.lstrip("/") or path)[:200]))
    elif values.get("q"):
        try:
            campaign = page_address("/?" + values["q"].lstrip("?")[:2000], site.rules).campaign
        except BadAddress as bad:
            raise BadHit(f"q: {bad}") from None
        hit = replace(hit, referrer=referrer_name(campaign, site.compare_hosts) or hit.referrer)
    return hit, int(code) != 0


def _people_hit(values: Values, site: Site, headers: Mapping[bytes, bytes]) -> Hit:
    """The same; the script's own word that it runs in a bot counts as malformed. Raises BadHit."""
    hit, is_bot = _hit(values, site, headers)
    if is_bot:
        raise BadHit("b: is a bot's")
    return hit


def _api_hit(number: int, each: ApiHit, site: Site) -> Hit:
    """Raises BadRequest that names the hit."""
    values = {"p": each.path, "r": each.ref or "", "q": each.query or "", "e": "1" if each.event else ""}
    try:
        return _hit(values, site, {})[0]
    except BadHit as error:
        raise BadRequest(f"hits.{number}: {error}", field=f"hits.{number}") from None


def _timestamp(moment: datetime | None) -> float | None:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None


async def _site_of_token(request: Request[SitesState]) -> Site | None:
    """The site of the path; None without a valid API token. Raises NotFound, Forbidden."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    address = request.client.host if request.client else ""
    token = await request.state["tokens"].use(secret.strip(), address) if scheme.lower() == "bearer" else None
    user = await request.state["current_user"].by_id(token.user_id) if token is not None else None
    if token is None or user is None:
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
        path = asked_path(text, site.rules)
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
