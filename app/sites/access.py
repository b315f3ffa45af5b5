"""Rights at a site: view and edit."""

import hashlib
from enum import IntEnum
from typing import Any

from starlette.requests import Request

from app.accounts.guards import user_of
from app.accounts.models import User
from app.sites.lifespan import SitesState
from app.sites.models import May, Site
from app.store.client import StoreUnavailable
from app.web.errors import Forbidden, NotFound
from app.web.headers import headers_of
from app.web.i18n import N_


class Right(IntEnum):
    NONE = 0
    VIEW = 1
    EDIT = 2
    OWN = 3


def right_of(user: User | None, site: Site) -> Right:
    """An administrator may do everything."""
    if user is None:
        return Right.NONE
    if user.is_admin or user.id == site.owner:
        return Right.OWN
    may = site.people.get(user.id)
    return Right.NONE if may is None else Right.EDIT if may is May.EDIT else Right.VIEW


async def site_for(request: Request[SitesState], need: Right) -> tuple[Site, User]:
    """The site of the path, for a signed-in user with this right. Raises SignInRequired, NotFound, Forbidden.

    To users without any right a site does not exist.
    """
    user = await user_of(request)
    site = await request.state["known_sites"].get(request.path_params["id"])
    if site is None or right_of(user, site) is Right.NONE:
        raise NotFound
    if right_of(user, site) < need:
        raise Forbidden(N_("You may look at this site, but not change it."))
    await request.state["site_store"].count_pending(site)
    return site, user


async def visible_site(request: Request[SitesState]) -> tuple[Site, User | None]:
    """The site of the path, if it is public, shared with the user, or the user's. Raises NotFound."""
    site = await request.state["known_sites"].get(request.path_params["id"])
    if site is None:
        raise NotFound
    user: User | None = await request.state["current_user"].get(request.scope)
    if is_open(request, site) or right_of(user, site):
        await request.state["site_store"].count_pending(site)
        return site, user
    raise NotFound


def is_open(request: Request[SitesState], site: Site) -> bool:
    """Whether everybody, or everybody with the request's `share`, may see the figures."""
    share = request.query_params.get("share", "")
    return site.public or bool(share and share_hash(share) in site.shares)


async def still_visible(request: Request[SitesState]) -> bool:
    """Asked while a stream is open: the site may be removed, the link withdrawn, the session ended.

    While Redis is away nothing can be revoked.
    """
    try:
        site = await request.state["known_sites"].get(request.path_params["id"])
        if site is None or is_open(request, site):
            return site is not None
        current, cookies = request.state["current_user"], headers_of(request.scope).get(b"cookie", b"")
        if (cached := current.cached(request.scope, cookies)) is not None:
            return right_of(cached[0], site) >= Right.VIEW
        current.forget(request.scope)
        return right_of(await current.get(request.scope), site) >= Right.VIEW
    except StoreUnavailable:
        return True


def share_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def address(request: Request[Any], path: str) -> str:
    """The absolute URL of a path here."""
    return f"{request.url.scheme}://{request.headers.get('host', '')}{path}"
