"""Changes of clients by administrators, for pages and the API; each writes its audit entry."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from app.accounts.helpers import audit
from app.accounts.models import User
from app.accounts.secret import digest, new_secret
from app.audit.log import Event
from app.oauth_server.client_config import BadClient, client_of, to_table
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_

AdminRequest = Request[OAuthServerState]


async def find(request: AdminRequest) -> Client:
    """The client that the path names. Raises NotFound."""
    client = await request.state["oauth_server"].clients.get(request.path_params["id"])
    if client is None:
        raise NotFound
    return client


async def find_editable(request: AdminRequest) -> Client:
    """As `find`; raises Conflict for a client of the settings, which only its file can change."""
    client = await find(request)
    if client.source == "file":
        raise Conflict(N_("This client is in the settings: change it there."))
    return client


async def create(request: AdminRequest, admin: User, table: dict[str, Any]) -> tuple[Client, str | None]:
    """(the client of a table with FIELDS and perhaps an `id`, its secret). Raises BadRequest, Conflict."""
    provider = request.state["oauth_server"]
    client_id = table.pop("id", None)
    if client_id in (None, ""):
        client_id = f"client-{new_secret()[:12].strip('-_')}"
    if not isinstance(client_id, str):
        raise BadRequest("id: must be a text", field="id")
    if await provider.clients.get(client_id) is not None:
        raise Conflict(N_("There is a client with this id already."))
    client = _checked(request, client_id, table, source="administration", created=provider.clock())
    secret = new_secret() if client.auth == "secret" else None
    client = replace(client, secrets=(digest(secret),) if secret is not None else ())
    await audit(request, Event.CLIENT_CREATED, user="", by=admin, detail=client.id)
    await provider.clients.store.create(client)
    return client, secret


async def change(request: AdminRequest, admin: User, table: dict[str, Any]) -> Client:
    """Changes the given fields. Raises NotFound, BadRequest, Conflict."""

    def changed(now: Client) -> Client:
        after = _checked(
            request, now.id, to_table(now) | table, source=now.source, created=now.created, secrets=now.secrets,
            registration_token=now.registration_token, secret_method=now.secret_method,
        )  # fmt: skip
        if after.auth == "secret" and not after.secrets:
            raise BadRequest("public: the client has no secret yet, create it anew", field="public")
        return after

    before = changed(await find_editable(request))  # refused changes have no audit entry
    await audit(request, Event.CLIENT_CHANGED, user="", by=admin, detail=before.id)
    return await _change(request, before.id, changed)


async def add_secret(request: AdminRequest, admin: User) -> str:
    """Adds a secret. The previous one stays valid until the next change. Raises NotFound, Conflict."""
    client = await find_editable(request)
    if client.auth != "secret":
        raise Conflict(N_("This client has no secret."))
    secret = new_secret()
    await audit(request, Event.CLIENT_SECRET_CREATED, user="", by=admin, detail=client.id)
    await _change(request, client.id, lambda now: replace(now, secrets=(digest(secret), *now.secrets[:1])))
    return secret


async def remove(request: AdminRequest, admin: User) -> None:
    """Removes a client and revokes its tokens. Raises NotFound, Conflict."""
    client = await find_editable(request)
    await audit(request, Event.CLIENT_REMOVED, user="", by=admin, detail=client.id)
    await request.state["oauth_server"].clients.store.remove(client.id)


async def _change(request: AdminRequest, client_id: str, change: Callable[[Client], Client]) -> Client:
    client = await request.state["oauth_server"].clients.store.change(client_id, change)
    if client is None:
        raise NotFound
    return client


def _checked(request: AdminRequest, client_id: str, table: dict[str, Any], **other: Any) -> Client:
    try:
        return client_of(client_id, table, any_http=not request.state["settings"].production, **other)
    except BadClient as bad:
        raise BadRequest(str(bad), field=bad.field) from None
