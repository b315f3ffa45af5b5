"""Personal data of sites, for exports and for the removal of accounts."""

from typing import Any

from app.accounts.lifespan import PersonalData
from app.sites.lifespan import Sites


def personal_sites(sites: Sites) -> PersonalData:
    """A removed user leaves the sites of others. The user's own sites go to the administrators."""
    store, known = sites["site_store"], sites["known_sites"]

    async def export(user_id: str) -> list[dict[str, Any]]:
        found = [await known.get(site_id) for site_id in await store.sites_of(user_id)]
        return [{"id": site.id, "name": site.name, "own": site.owner == user_id} for site in found if site is not None]

    async def forget(user_id: str) -> None:
        for site_id in await store.sites_of(user_id):
            site = await known.get(site_id)
            if site is not None and site.owner == user_id:
                await store.leave_to_administrators(site)
                known.forget(site)
            elif site is not None:
                await store.remove_person(site, user_id)

    return PersonalData(export, forget)
