"""The figures of a site, as JSON."""

from dataclasses import asdict
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.sites.access import visible_site
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.page_address import BadAddress, asked_path
from app.sites.site_calendar import parse_day
from app.sites.stats import DEFAULT_DAYS, INTERVALS, MAX_DAYS, MAX_HOUR_DAYS, SiteStats
from app.sites.top_lists import LISTS, Range
from app.web.errors import BadRequest, NotFound
from app.web.query import query_number
from app.web.responses import json_response

KINDS = ("pages", *LISTS)
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000


async def stats(request: Request[SitesState]) -> Response:
    site, _ = await visible_site(request)
    figures = request.state["site_stats"]
    span = await range_of(request, site, figures)
    interval = request.query_params.get("interval", "day")
    if interval not in INTERVALS:
        raise BadRequest("interval: must be hour, day or month", field="interval")
    if interval == "hour" and span.length > MAX_HOUR_DAYS:
        raise BadRequest(f"interval: hours are told for at most {MAX_HOUR_DAYS} days", field="interval")
    path = path_of(request, site)
    if path is not None and interval == "hour":
        raise BadRequest("interval: the hours of a single page are not kept", field="interval")
    found = await figures.figures(site, span, interval, path)
    return json_response(
        {
            "visits": found.visits,
            "visitors": found.visitors,
            "time_zone": site.time_zone,
            "series": [asdict(point) for point in found.series],
            "before": {"visits": found.before},
            "left_out": found.left_out,
        }
    )


async def top(request: Request[SitesState]) -> Response:
    site, _ = await visible_site(request)
    kind = request.path_params["kind"]
    if kind not in KINDS:
        raise NotFound
    figures = request.state["site_stats"]
    span = await range_of(request, site, figures)
    limit = limit_of(request)
    path, referrer = path_of(request, site), request.query_params.get("referrer")
    if path is not None and kind == "referrers":
        found = await figures.lists.referrers_of(site, span, path, limit)
    elif referrer is not None and kind == "pages":
        found = await figures.lists.pages_of(site, span, referrer, limit)
    else:
        found = await figures.lists.top(site, kind, span, limit)
    return json_response({"rows": [asdict(row) for row in found.rows], "other": found.other})


async def range_of(request: Request[SitesState], site: Site, figures: SiteStats) -> Range:
    """The days of `from` and `to`: the last 30 by default, everything with `from=all`. Raises BadRequest."""
    first, last = request.query_params.get("from"), request.query_params.get("to")
    try:
        end = parse_day(last) if last else figures.today(site)
    except ValueError as error:
        raise BadRequest(f"to: {error}", field="to") from None
    if first == "all":
        return await figures.range_of_all(site)
    try:
        begin = parse_day(first) if first else end - timedelta(days=DEFAULT_DAYS - 1)
        begin - timedelta(days=MAX_DAYS)
    except (ValueError, OverflowError):
        raise BadRequest("from: must be a day, such as 2026-11-28, or all", field="from") from None
    if begin > end:
        raise BadRequest("from: must not be after to", field="from")
    if (end - begin).days >= MAX_DAYS:
        raise BadRequest(f"from: at most {MAX_DAYS} days are told at once", field="from")
    return Range(begin, end)


def path_of(request: Request[SitesState], site: Site) -> str | None:
    """The page that is asked for, as the site writes it. Raises BadRequest."""
    path = request.query_params.get("path")
    if not path:
        return None
    try:
        return asked_path(path, site.rules)
    except BadAddress as error:
        raise BadRequest(f"path: {error}", field="path") from None


def limit_of(request: Request[SitesState]) -> int:
    return query_number(request, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT
