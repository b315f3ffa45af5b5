"""`/sites`: the user's sites; `/sites/{id}`: the counts of one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import sign_in_required
from app.accounts.helpers import page
from app.accounts.models import User
from app.server.security_headers import CONTENT_SECURITY_POLICY
from app.sites.access import Right, address, is_open, right_of, still_visible, visible_site
from app.sites.api import sites_of
from app.sites.charts import SPARK_HEIGHT, SPARK_WIDTH, Chart, chart, sparkline
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.pages.words import SCREENS, shown_name, time_label
from app.sites.site_calendar import days
from app.sites.stats import Figures, SiteStats
from app.sites.stats_api import path_of, range_of
from app.sites.stats_store import Count
from app.sites.top_lists import Range, TopList
from app.web.errors import NotFound, SignInRequired
from app.web.i18n import N_
from app.web.streams import admit, event_stream

PERIODS = {"today": 1, "7d": 7, "30d": 30, "365d": 365}
DEFAULT_PERIOD = "30d"
SPARKLINE_DAYS = 30
MAX_DAY_POINTS = 400
"""Longer ranges are drawn by month."""
ROWS = 10
LIST_NAMES = {
    "pages": N_("Pages"),
    "referrers": N_("Referrers"),
    "countries": N_("Countries"),
    "browsers": N_("Browsers"),
    "systems": N_("Systems"),
    "screens": N_("Screens"),
    "languages": N_("Languages"),
    "events": N_("Events"),
}
REASONS = {
    "bots": N_("Bots"),
    "prefetch": N_("Loaded in advance"),
    "spam": N_("Spam referrers"),
    "private": N_("Visitors who ask not to be counted"),
    "elsewhere": N_("Pages of other hosts"),
    "own": N_("Own visits"),
}


@dataclass(frozen=True, slots=True)
class Summary:
    site: Site
    visits: int
    visitors: int
    line: str


@sign_in_required
async def list_sites(request: Request[SitesState], user: User) -> Response:
    return await sites_page(request, user)


async def sites_page(
    request: Request[SitesState],
    user: User,
    *,
    error: str | None = None,
    field: str = "",
    values: dict[str, str] | None = None,
) -> Response:
    summaries = await asyncio.gather(*(_summary(request, site) for site in await sites_of(request, user)))
    return await page(
        request,
        "sites/sites.html",
        error=error,
        field=field,
        values=values or {"name": "", "hosts": "", "time_zone": ""},
        sites=summaries,
        spark=(SPARK_WIDTH, SPARK_HEIGHT),
        spark_days=SPARKLINE_DAYS,
    )


async def _summary(request: Request[SitesState], site: Site) -> Summary:
    await request.state["site_store"].count_pending(site)
    stats = request.state["site_stats"]
    today = stats.today(site)
    first = today - timedelta(days=SPARKLINE_DAYS - 1)
    found = await stats.store.days(site, first, today)
    values = [found[day].visits if day in found else 0 for day in days(first, today)]
    return Summary(site, sum(values), sum(count.visitors for count in found.values()), sparkline(values))


async def show_site(request: Request[SitesState]) -> Response:
    """`GET /sites/{id}`: for users with the right to view it; others are asked to sign in."""
    site, user = await _visible_or_sign_in(request)
    stats = request.state["site_stats"]
    period, span = await _span(request, site, stats)
    interval = _interval(span)
    path, referrer = path_of(request, site), request.query_params.get("referrer") or None
    figures = await stats.figures(site, span, "day" if path and interval == "hour" else interval, path)
    share = request.query_params.get("share", "")
    locale = request.state["pages"].locale_of(request.scope)
    response = await page(
        request,
        "sites/site.html",
        site=site,
        may_edit=right_of(user, site) >= Right.EDIT,
        may_view=right_of(user, site) >= Right.VIEW,
        periods=PERIODS,
        period=period,
        span=span,
        figures=figures,
        interval=interval,
        chart=_chart(figures, interval, locale),
        shown=partial(shown_name, locale),
        others=await _others(stats, site, span, figures, filtered=bool(path or referrer)),
        change=_change(figures),
        lists=await _lists(stats, site, span, path, referrer),
        names=LIST_NAMES,
        screens=SCREENS,
        reasons=REASONS,
        left_out=[(reason, number) for reason, number in figures.left_out.items() if number],
        filter_path=path,
        filter_referrer=referrer,
        share=share,
        framed=request.headers.get("sec-fetch-dest") == "iframe",
        stream=f"/events/sites/{site.id}" + (f"?share={share}" if share else ""),
        full=await stats.store.known_paths(site) > site.max_paths,
        script=address(request, f"/{request.state['settings'].collect_path}/{site.id}.js"),
    )
    if site.frame and is_open(request, site):
        _may_be_framed(response, site)
    return response


async def _visible_or_sign_in(request: Request[SitesState]) -> tuple[Site, User | None]:
    try:
        return await visible_site(request)
    except NotFound:
        if await request.state["current_user"].get(request.scope) is None:
            raise SignInRequired(request.url.path) from None
        raise


def _chart(figures: Figures, interval: str, locale: str) -> Chart:
    series = figures.series
    times, visits = [point.at for point in series], [point.visits for point in series]
    return chart(times, visits, [point.visitors for point in series], partial(time_label, locale, interval))


async def _others(
    stats: SiteStats, site: Site, span: Range, figures: Figures, *, filtered: bool
) -> tuple[int, int] | None:
    """Visits and visitors of the range but today's, to which the page adds today's as they come; None without today."""
    today = stats.today(site)
    if filtered or not span.first <= today <= span.last:
        return None
    count = (await stats.store.days(site, today, today)).get(today, Count())
    return max(0, figures.visits - count.visits), max(0, figures.visitors - count.visitors)


async def site_events(request: Request[SitesState]) -> Response:
    """`GET /events/sites/{id}`: server-sent events, `site` with today's figures and the newest hits."""
    site, _ = await visible_site(request)
    admit(request)
    return event_stream(request, _events(request, site))


async def _events(request: Request[SitesState], site: Site) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async with aclosing(request.state["live_sites"].watch(site, request.state["lifecycle"].stopping)) as news:
        async for each in news:
            if not await still_visible(request):
                break
            yield b": still here\n\n" if each is None else b"event: site\ndata: %b\n\n" % each
    yield b"event: bye\ndata: {}\n\n"


async def _span(request: Request[SitesState], site: Site, stats: SiteStats) -> tuple[str, Range]:
    """The period's name, "" for a range of its own, and its days."""
    query = request.query_params
    if query.get("from") or query.get("to"):
        return ("all" if query.get("from") == "all" else ""), await range_of(request, site, stats)
    period = query.get("period", DEFAULT_PERIOD)
    if period not in PERIODS:
        period = DEFAULT_PERIOD
    today = stats.today(site)
    return period, Range(today - timedelta(days=PERIODS[period] - 1), today)


def _interval(span: Range) -> str:
    if span.length == 1:
        return "hour"
    return "day" if span.length <= MAX_DAY_POINTS else "month"


def _change(figures: Figures) -> int | None:
    """The change of visits from the range before in per cent; None if there were none."""
    return round((figures.visits - figures.before) / figures.before * 100) if figures.before else None


async def _lists(
    stats: SiteStats, site: Site, span: Range, path: str | None, referrer: str | None
) -> Sequence[tuple[str, TopList]]:
    if path is not None:
        return [("referrers", await stats.lists.referrers_of(site, span, path, ROWS))]
    if referrer is not None:
        return [("pages", await stats.lists.pages_of(site, span, referrer, ROWS))]
    pages, names = await stats.lists.top(site, "pages", span, ROWS), await stats.lists.names(site, span, ROWS)
    return [("pages", pages), *((kind, top) for kind, top in names.items() if top.rows)]


def _may_be_framed(response: Response, site: Site) -> None:
    ancestors = " ".join(site.frame).encode()
    policy = CONTENT_SECURITY_POLICY.replace(b"frame-ancestors 'none'", b"frame-ancestors " + ancestors)
    response.headers["Content-Security-Policy"] = policy.decode()
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
