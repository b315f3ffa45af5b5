"""`/badge/{site}.svg` and `.json`."""

from datetime import timedelta

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.sites.badges import MAX_LABEL_LENGTH, STYLES, badge, color_code, endpoint
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.page_address import CONTROL
from app.sites.protocols import cross_origin
from app.sites.stats import Figures
from app.sites.stats_api import path_of
from app.sites.top_lists import Range
from app.store.client import StoreUnavailable
from app.web.errors import BadRequest, NotFound

PERIODS = {"today": 1, "7d": 7, "30d": 30}
HEADERS = cross_origin.HEADERS | {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate"}


async def show(request: Request[SitesState]) -> Response:
    """A public site's badge; a private site's is 404, also for its owner: badges stand on public pages."""
    site_id, _, kind = request.path_params["name"].rpartition(".")
    site = await request.state["known_sites"].get_to_count(site_id) if kind in {"svg", "json"} else None
    if site is None or not site.public:
        raise NotFound
    query = request.query_params
    style, color = query.get("style", "flat"), color_code(query.get("color", "blue"))
    label = query.get("label", "visits" if query.get("what", "visits") == "visits" else "visitors")
    if style not in STYLES:
        raise BadRequest("style: must be flat, flat-square or for-the-badge", field="style")
    if color is None:
        raise BadRequest("color: must be a colour's name or its hexadecimal digits", field="color")
    if len(label) > MAX_LABEL_LENGTH or CONTROL.search(label) or "\ufffd" in label:
        reason = f"label: must be at most {MAX_LABEL_LENGTH} characters of UTF-8, without control characters"
        raise BadRequest(reason, field="label")
    try:
        await request.state["site_store"].count_pending(site)
        message = f"{await _number(request, site):,}"
    except StoreUnavailable:
        message = "?"
    if kind == "json":
        return Response(
            orjson.dumps(endpoint(label, message, color, style)), media_type="application/json", headers=HEADERS
        )
    return Response(badge(label, message, color, style), media_type="image/svg+xml", headers=HEADERS)


async def _number(request: Request[SitesState], site: Site) -> int:
    query, stats = request.query_params, request.state["site_stats"]
    period, what = query.get("period", "all"), query.get("what", "visits")
    if what not in {"visits", "visitors"}:
        raise BadRequest("what: must be visits or visitors", field="what")
    path = path_of(request, site)
    if period == "all":
        span = await stats.range_of_all(site)
    elif period in PERIODS:
        today = stats.today(site)
        span = Range(today - timedelta(days=PERIODS[period] - 1), today)
    else:
        raise BadRequest("period: must be all, today, 7d or 30d", field="period")
    found: Figures = await stats.figures(site, span, "month" if period == "all" else "day", path)
    return found.visits if what == "visits" else found.visitors
