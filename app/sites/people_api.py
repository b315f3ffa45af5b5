"""The API of a site's members and owner."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.models import User
from app.sites.access import Right, site_for
from app.sites.bodies import NewOwner, PersonRight
from app.sites.lifespan import SitesState
from app.sites.models import May, Site
from app.web.body import json_body
from app.web.errors import Conflict, NotFound
from app.web.i18n import N_

MAX_PEOPLE = 200


async def add_person(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.OWN)
    right = await json_body(request, PersonRight)
    await set_person(request, site, request.path_params["name"], May(right.may))
    return Response(status_code=204)


async def remove_person(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.OWN)
    person = await request.state["accounts"].by_name(request.path_params["name"])
    if person is None or not await request.state["site_store"].remove_person(site, person.id):
        raise NotFound
    request.state["known_sites"].forget(site)
    return Response(status_code=204)


async def give_site(request: Request[SitesState]) -> Response:
    """`PUT /api/sites/{id}/owner`: by the owner, or by an administrator, who may take over a removed user's site."""
    site, _ = await site_for(request, Right.OWN)
    new = await json_body(request, NewOwner)
    owner = await _person(request, new.name)
    if not await request.state["site_store"].set_owner(site, owner.id):
        raise NotFound
    request.state["known_sites"].forget(site)
    return Response(status_code=204)


async def set_person(request: Request[SitesState], site: Site, name: str, may: May) -> None:
    """Raises NotFound, Conflict."""
    person = await _person(request, name)
    if person.id == site.owner:
        raise Conflict(N_("The owner may do everything already."))
    if person.id not in site.people and len(site.people) >= MAX_PEOPLE:
        raise Conflict(N_("As many people as possible have been added."))
    if not await request.state["site_store"].set_person(site, person.id, may):
        raise NotFound
    request.state["known_sites"].forget(site)


async def _person(request: Request[SitesState], name: str) -> User:
    person = await request.state["accounts"].by_name(name)
    if person is None:
        raise NotFound
    return person
