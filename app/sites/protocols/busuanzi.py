"""Busuanzi's protocol, byte for byte, because tools read its responses by position; and that of its successors
(soxft's busuanzi, Vercount).
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from app.sites.batch import HitTotals
from app.sites.hit import BadHit, Hit, hit_of
from app.sites.lifespan import SitesState
from app.sites.models import Site
from app.sites.page_address import host_of
from app.sites.protocols.cross_origin import HEADERS, cross_origin_json
from app.store.client import StoreUnavailable

CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,63}")
SCRIPT_TYPE = "text/javascript; charset=utf-8"
SCRIPT, SUCCESSOR_SCRIPT = ((Path(__file__).parent / name).read_bytes() for name in ("busuanzi.js", "busuanzi_heir.js"))
PREFLIGHT = HEADERS | {
    "Access-Control-Allow-Methods": "GET, POST, PUT",
    "Access-Control-Allow-Headers": "x-bsz-referer, Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}


async def jsonp(request: Request[SitesState]) -> Response:
    """`GET /busuanzi?jsonpCallback=`: counts the page of the Referer. HEAD counts nothing."""
    callback = request.query_params.get("jsonpCallback", "")
    referer = request.headers.get("referer", "")
    if not CALLBACK.fullmatch(callback):
        return _refused("jsonpCallback: must be a name", 400)
    if not referer:
        return _refused("Referer: is missing", 400)
    try:
        found = await _count(request, referer)
    except BadHit as error:
        return _refused(str(error), 400)
    except StoreUnavailable:
        return _script(f"try{{{callback}(null);}}catch(e){{}}")
    if found is None:
        return _refused("there is no site with this host", 404)
    totals = found[0]
    if totals is None:
        return _script(f"try{{{callback}(null);}}catch(e){{}}")
    values = f'{{"site_uv":{totals.visitors},"page_pv":{totals.page},"version":2.4,"site_pv":{totals.site}}}'
    return _script(f"try{{{callback}({values});}}catch(e){{}}")


async def successor_api(request: Request[SitesState]) -> Response:
    """`/api` and `/busuanzi/api` with the header `x-bsz-referer`, as soxft's busuanzi has them: `GET`, `POST` and `PUT`
    count a visit, `PUT` tells no numbers.
    """
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        totals, page_visitors = await _totals(request, request.headers.get("x-bsz-referer", ""))
    except (BadHit, StoreUnavailable):
        totals, page_visitors = None, 0
    if request.method == "PUT":
        return Response(status_code=204, headers=HEADERS)
    if totals is None:
        return cross_origin_json({"success": False, "message": "there are no numbers for this page"})
    data = {
        "site_pv": totals.site,
        "site_uv": totals.visitors,
        "page_pv": totals.page,
        "page_uv": page_visitors,
    }
    return cross_origin_json({"success": True, "message": "ok", "data": data})


async def script(_: Request[SitesState]) -> Response:
    """`/busuanzi/2.3/busuanzi.pure.mini.js`, the script of themes."""
    return _script(SCRIPT, "public, max-age=3600")


async def successor_script(_: Request[SitesState]) -> Response:
    """`/js`, the script of their themes."""
    return _script(SUCCESSOR_SCRIPT, "public, max-age=3600")


async def _totals(request: Request[SitesState], referer: str) -> tuple[HitTotals | None, int]:
    """The numbers of a counted visit, and the page's visitors. Raises BadHit, StoreUnavailable."""
    found = await _count(request, referer or request.headers.get("referer", ""))
    if found is None or found[0] is None:
        return None, 0
    totals, hit, site = found
    store = request.state["site_stats"].store
    path_id = await store.path_id(site, hit.page.path)
    return totals, (await store.path_total(site, path_id)).visitors if path_id is not None else 0


async def _count(request: Request[SitesState], referer: str) -> tuple[HitTotals | None, Hit, Site] | None:
    """Counts a visit; None where no site has the host. Raises BadHit, StoreUnavailable."""
    state = request.state
    referer = referer.encode("latin-1").decode(errors="replace")
    host = host_of(referer)
    if not host:
        raise BadHit("Referer: must be the http or https URL of a page, at most 2048 characters long")
    headers = cast(dict[bytes, bytes], dict(request.scope["headers"]))
    address = request.client.host if request.client else ""
    values = {"referer": referer}
    site_of = partial(state["hosts"].site_of, host)
    try:
        site = await site_of()
    except StoreUnavailable:
        if request.method != "HEAD":
            state["postponed_hits"].add(site_of, _page_hit, values, headers, address)
        raise
    if site is None:
        return None
    hit = _page_hit(values, site, headers)
    if request.method == "HEAD":
        return None, hit, site
    report = await state["hit_counter"].report(site, hit, headers)
    return await (await state["hit_counter"].count(report, address, want_totals=True)), hit, site


def _page_hit(values: Mapping[str, str], site: Site, _: Mapping[bytes, bytes]) -> Hit:
    return hit_of({}, site, values["referer"].encode())


def _script(text: str | bytes, cache_control: str = "no-store") -> Response:
    return Response(text, media_type=SCRIPT_TYPE, headers=HEADERS | {"Cache-Control": cache_control})


def _refused(reason: str, status: int) -> Response:
    return Response(f"// {reason}\n", status, HEADERS | {"X-Tally-Error": reason}, SCRIPT_TYPE)
