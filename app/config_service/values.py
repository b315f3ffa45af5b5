"""`GET /api/config/{ns}`: the values of a namespace, from memory; with `wait`, as soon as they change."""

from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request
from starlette.types import Scope

from app.config_service.lifespan import ConfigState
from app.config_service.models import Right, Role
from app.config_service.preconditions import if_none_match
from app.config_service.requests import age, allowed
from app.config_service.watch import Snapshot
from app.web.fast_path import Deferred, FastEndpoint, FastResponse, StaticHeaders
from app.web.headers import headers_of
from app.web.query import query_number, whole_number
from app.web.streams import admit

PREFIX = "/api/config/"
MAX_WAIT = 60


class ConfigValues(FastEndpoint):
    def try_fast(self, scope: Scope) -> FastResponse | Deferred | None:
        name = scope["path"].removeprefix(PREFIX)
        state = cast(ConfigState, scope["state"])
        snapshot = state["config_namespaces"].fresh(name)
        if snapshot is None:
            return None
        query = scope["query_string"]
        seconds = _wait(query) if query else 0
        principal = state["config_principals"].cached(scope)
        if principal is None or seconds is None:
            return None
        right = principal.right(snapshot.namespace)
        if right.role < Role.READ:
            return None
        header = headers_of(scope).get(b"if-none-match")
        if header != snapshot.tag and (
            header is None or not if_none_match(header.decode("latin-1"), snapshot.namespace.tags[0])
        ):
            return _found(snapshot, right)
        if not seconds:
            return snapshot.not_modified, b""
        if state["streams"].full(state["settings"]):
            return None
        return Deferred((state["config_namespaces"].wait(name, seconds), partial(_after, state, scope, snapshot)))

    async def handle(self, scope: Scope) -> FastResponse:
        request: Request[ConfigState] = Request(scope)
        snapshot, _, right = await allowed(request, Role.READ)
        seconds = query_number(request, "wait", 0, MAX_WAIT) or 0
        header = request.headers.get("if-none-match")
        version = query_number(request, "version")
        if version is not None:
            return await self._at(request, snapshot, right, version)
        if header is not None and if_none_match(header, snapshot.namespace.tags[0]):
            if not seconds:
                return _aged(request, snapshot.not_modified), b""
            snapshot, right = await self._changed(request, snapshot, seconds)
            if if_none_match(header, snapshot.namespace.tags[0]):
                return _aged(request, snapshot.not_modified), b""
        headers, body = _found(snapshot, right)
        return _aged(request, headers), body

    async def _changed(self, request: Request[ConfigState], snapshot: Snapshot, seconds: int) -> tuple[Snapshot, Right]:
        """The snapshot and the right at the end of a wait: the right may have been removed meanwhile."""
        namespaces, name = request.state["config_namespaces"], snapshot.namespace.name
        admit(request)
        await namespaces.wait(name, seconds)
        request.state["current_user"].forget(request.scope)
        snapshot, _, right = await allowed(request, Role.READ)
        return snapshot, right

    async def _at(self, request: Request[ConfigState], snapshot: Snapshot, right: Right, version: int) -> FastResponse:
        editor, namespace = request.state["config_editor"], snapshot.namespace
        items = await editor.at(namespace, version)
        hidden = [] if right.secrets else sorted(key for key, item in items.items() if item.secret)
        headers = StaticHeaders(
            (b"content-type", b"application/json"),
            (b"etag", b'"%d"' % version),
            (b"cache-control", b"no-store"),
            *([(b"x-config-hidden", ", ".join(hidden).encode())] if hidden else []),
        )
        return headers, orjson.dumps(editor.plain(items, secrets=right.secrets))


def _found(snapshot: Snapshot, right: Right) -> FastResponse:
    return snapshot.found[right.secrets], snapshot.body(secrets=right.secrets)


def _after(state: ConfigState, scope: Scope, before: Snapshot, changed: Snapshot | None) -> FastResponse:
    """The response at the end of a wait: the new values, if there are any and the right still exists."""
    principal = state["config_principals"].cached(scope)
    right = principal.right(changed.namespace) if principal is not None and changed is not None else Right()
    if changed is None or right.role < Role.READ:
        return before.not_modified, b""
    return _found(changed, right)


@lru_cache(maxsize=128)
def _wait(query: bytes) -> int | None:
    """The seconds of `wait`; None for a query that `handle` reads."""
    fields: dict[str, Any] = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if set(fields) != {"wait"}:
        return None
    return whole_number(fields["wait"][-1], most=MAX_WAIT)


def _aged(request: Request[ConfigState], headers: StaticHeaders) -> StaticHeaders:
    more = [(name.lower().encode(), value.encode()) for name, value in age(request).items()]
    return StaticHeaders(*headers.headers, *more, status=headers.status) if more else headers
