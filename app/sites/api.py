"""The API of sites."""

import secrets
import string

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required, sign_in_required
from app.accounts.helpers import address_of, raise_if_limited
from app.accounts.models import User
from app.sites.access import Right, address, right_of, share_hash, site_for
from app.sites.bodies import FirstValues
from app.sites.lifespan import SitesState
from app.sites.models import Site, bucket_of, settings_of
from app.sites.page_address import BadAddress, compare_host, page_address
from app.sites.removal import apply_retention, remove_counts
from app.sites.site_settings import NewSite, SiteChanges, changed
from app.store.rate_limit import Rule, address_key
from app.web.body import json_body
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_
from app.web.responses import json_response

SITE_CREATION = Rule("site-creation", 60, 3600)
"""60 an hour from an address."""
ALPHABET = string.ascii_lowercase + string.digits
ATTEMPTS = 5
MAX_LISTED_SITES = 500
"""Sites on a page of the administrators' list."""
MAX_SHARES = 100


@sign_in_required
async def create_site(request: Request[SitesState], user: User) -> Response:
    site = await create(request, user, await json_body(request, NewSite))
    return json_response(site_json(request, site, user), 201)


@sign_in_required
async def list_sites(request: Request[SitesState], user: User) -> Response:
    """`GET /api/sites`: the user's own, and those that others let the user see."""
    return json_response({"sites": [site_json(request, site, user) for site in await sites_of(request, user)]})


@admin_required
async def list_all_sites(request: Request[SitesState], user: User) -> Response:
    """`GET /api/admin/sites`: of everybody, and of users who are removed."""
    store, known, accounts = request.state["site_store"], request.state["known_sites"], request.state["accounts"]
    after = request.query_params.get("after", "")
    sites = []
    for site_id in await store.all_sites(after, MAX_LISTED_SITES):
        site = await known.get(site_id)
        if site is not None:
            owner = await accounts.by_id(site.owner)
            sites.append({**site_json(request, site, user), "owner": owner.name if owner else None})
    return json_response({"sites": sites})


async def get_site(request: Request[SitesState]) -> Response:
    site, user = await site_for(request, Right.VIEW)
    return json_response(site_json(request, site, user))


async def change_site(request: Request[SitesState]) -> Response:
    site, user = await site_for(request, Right.EDIT)
    changes = await json_body(request, SiteChanges)
    return json_response(site_json(request, await save_changes(request, site, changes), user))


async def remove_site(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.OWN)
    await remove(request, site)
    return Response(status_code=204)


async def reset_site(request: Request[SitesState]) -> Response:
    """`POST /api/sites/{id}/reset`: removes all counts."""
    site, _ = await site_for(request, Right.OWN)
    await reset(request, site)
    return Response(status_code=204)


async def set_values(request: Request[SitesState]) -> Response:
    """`PUT /api/sites/{id}/values`: sets totals of a former counter; repeating it changes nothing."""
    site, _ = await site_for(request, Right.EDIT)
    values = await json_body(request, FirstValues)
    visitors = values.visitors or 0
    if visitors > values.visits:
        raise BadRequest("visitors: must be at most visits", field="visitors")
    try:
        path = page_address(values.path, site.rules).path if values.path else ""
    except BadAddress as error:
        raise BadRequest(f"path: {error}", field="path") from None
    outcome = await request.state["site_store"].set_values(site, path, values.visits, visitors)
    if outcome == -1:
        raise NotFound
    if outcome < 0:
        raise Conflict(N_("The site has no room for another page."))
    return Response(status_code=204)


@admin_required
async def give_host(request: Request[SitesState], _: User) -> Response:
    """`PUT /api/sites/{id}/hosts/{host}`: of several sites that name a host, this one gets its Busuanzi visits."""
    site, _user = await site_for(request, Right.OWN)
    try:
        host = compare_host(request.path_params["host"])
    except ValueError:
        raise NotFound from None
    if host not in site.compare_hosts:
        raise NotFound
    await request.state["site_store"].give_host(host, site.id)
    request.state["hosts"].forget(host)
    return Response(status_code=204)


async def create_share(request: Request[SitesState]) -> Response:
    """`POST /api/sites/{id}/shares`: the token is shown only once."""
    site, _ = await site_for(request, Right.EDIT)
    return json_response(await new_share(request, site), 201)


async def remove_share(request: Request[SitesState]) -> Response:
    """`DELETE /api/sites/{id}/shares/{token}`: by the token, or by the id that the list of shares has."""
    site, _ = await site_for(request, Right.EDIT)
    token = request.path_params["token"]
    name = token if token in site.shares else share_hash(token)
    if not await request.state["site_store"].delete_field(site, f"share:{name}"):
        raise NotFound
    request.state["known_sites"].forget(site)
    return Response(status_code=204)


async def create(request: Request[SitesState], user: User, new: NewSite) -> Site:
    """A new site of the user. Raises TooMany."""
    site_id = "".join(secrets.choice(ALPHABET) for _ in range(10))
    site = changed(Site(site_id, "", (), user.id, request.state["clock"](), bucket=bucket_of(site_id)), new)
    raise_if_limited(await request.state["rate_limiter"].spend((SITE_CREATION, address_key(address_of(request)))))
    await request.state["site_store"].create(site)
    request.state["known_sites"].forget(site)
    return site


async def save_changes(request: Request[SitesState], site: Site, changes: SiteChanges) -> Site:
    """Changes settings; concurrent changes of other fields are kept. Raises NotFound, Conflict."""
    store, known = request.state["site_store"], request.state["known_sites"]
    for _ in range(ATTEMPTS):
        new = changed(site, changes)
        if await store.replace_settings(site, new):
            await store.release_hosts(site.id, site.compare_hosts - new.compare_hosts)
            await store.claim_hosts(site.id, new.compare_hosts - site.compare_hosts)
            known.forget(site)
            if new.retention_days != site.retention_days:
                await apply_retention(request.state["store"], new)
            return await known.get(site.id) or new
        known.forget(site)
        latest = await known.get(site.id)
        if latest is None:
            raise NotFound
        site = latest
    raise Conflict(N_("Somebody else changes the settings right now. Please try again."))


async def remove(request: Request[SitesState], site: Site) -> None:
    """Removes all counts first, so that this can be repeated after StoreUnavailable, and once more without the record,
    because batches may have come in between.
    """
    now = request.state["clock"]()
    await remove_counts(request.state["store"], site, now)
    await request.state["site_store"].remove(site)
    request.state["known_sites"].forget(site)
    await remove_counts(request.state["store"], site, now)


async def reset(request: Request[SitesState], site: Site) -> None:
    await request.state["site_store"].raise_revision(site)
    request.state["known_sites"].forget(site)
    await remove_counts(request.state["store"], site, request.state["clock"]())


async def new_share(request: Request[SitesState], site: Site) -> dict[str, str]:
    if len(site.shares) >= MAX_SHARES:
        raise Conflict(N_("There are as many links as possible. Withdraw one first."))
    token = secrets.token_urlsafe(24)
    made = repr(request.state["clock"]())
    if not await request.state["site_store"].set_field(site, f"share:{share_hash(token)}", made):
        raise NotFound
    request.state["known_sites"].forget(site)
    return {"token": token, "url": address(request, f"/sites/{site.id}?share={token}")}


async def sites_of(request: Request[SitesState], user: User) -> list[Site]:
    """Sites that the user owns or was added to, by name."""
    ids = await request.state["site_store"].sites_of(user.id)
    found = [await request.state["known_sites"].get(site_id) for site_id in ids]
    own = [site for site in found if site is not None and (site.owner == user.id or user.id in site.people)]
    return sorted(own, key=lambda site: (site.name.lower(), site.id))


def site_json(request: Request[SitesState], site: Site, user: User) -> dict[str, object]:
    prefix = request.state["settings"].collect_path
    script, hit = (address(request, f"/{prefix}/{site.id}{ending}") for ending in (".js", ""))
    return {
        "id": site.id,
        **settings_of(site),
        "created": site.created,
        "may": right_of(user, site).name.lower(),
        "script": script,
        "hit": hit,
        "tag": f'<script async src="{script}"></script>',
    }
