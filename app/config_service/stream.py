"""`GET /events/config/{ns}`: a server-sent event for each version."""

from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.config_service.lifespan import ConfigState
from app.config_service.models import Namespace, Role
from app.config_service.requests import allowed
from app.config_service.watch import Namespaces, Snapshot
from app.web.errors import Forbidden, SignInRequired
from app.web.query import whole_number
from app.web.streams import admit, event_stream

HEARTBEAT = 15.0


async def stream(request: Request[ConfigState]) -> Response:
    """The event's id is the version. `Last-Event-ID` resumes; without it, or with one that is unknown, the present
    version comes first.
    """
    snapshot, _, _ = await allowed(request, Role.READ)
    admit(request)
    known = whole_number(request.headers.get("last-event-id", "")) or 0
    namespace = snapshot.namespace
    seen = known if 0 < known <= namespace.version else 0
    return event_stream(request, _events(request, namespace, seen))


async def _events(request: Request[ConfigState], namespace: Namespace, seen: int) -> AsyncGenerator[bytes]:
    namespaces, stopping = request.state["config_namespaces"], request.state["lifecycle"].stopping
    if not seen:
        yield _event(namespace.version, sorted(namespace.items))
        seen = namespace.version
    yield b": open\n\n"
    while not stopping.is_set():
        change = namespaces.wait(namespace.name, HEARTBEAT)
        snapshot = await _present(namespaces, namespace.name)
        if snapshot is None or not await _may_read(request, snapshot):
            change.cancel()
            return
        if snapshot.namespace.version != seen:
            change.cancel()
            keys = await _changed(request, snapshot.namespace, seen)
            yield _event(seen := snapshot.namespace.version, keys)
            continue
        await change
        now = namespaces.fresh(namespace.name)  # None while Redis is away: proxies want a sign of life all the same
        if now is None or now.namespace.version == seen:
            yield b": \n\n"


async def _present(namespaces: Namespaces, name: str) -> Snapshot | None:
    return namespaces.fresh(name) or await namespaces.get(name)


async def _may_read(request: Request[ConfigState], snapshot: Snapshot) -> bool:
    """Checked at every event: the token may be revoked, the session may have ended."""
    principals = request.state["config_principals"]
    principal = principals.cached(request.scope)
    if principal is None:
        request.state["current_user"].forget(request.scope)
        try:
            principal = await principals.get(request.scope)
        except (SignInRequired, Forbidden):
            return False
    return principal.right(snapshot.namespace).role >= Role.READ


async def _changed(request: Request[ConfigState], namespace: Namespace, seen: int) -> list[str]:
    """The keys that changed since a version. Concurrent streams share one read."""
    key = f"{namespace.name} {seen} {namespace.version}"
    return await request.state["config_changes"].join(key, lambda: _read_changed(request, namespace, seen))


async def _read_changed(request: Request[ConfigState], namespace: Namespace, seen: int) -> list[str]:
    versions = await request.state["config_store"].versions_after(namespace.name, seen)
    return sorted({change.key for each in versions if each.version <= namespace.version for change in each.changes})


def _event(version: int, keys: list[str]) -> bytes:
    return b"id: %d\nevent: config\ndata: %b\n\n" % (version, orjson.dumps({"version": version, "keys": keys}))
