"""Reads requests of the configuration service."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.config_service.lifespan import ConfigState
from app.config_service.models import MAX_NAMESPACE_BYTES, NAMESPACE, Right, Role
from app.config_service.preconditions import Condition, if_none_match
from app.config_service.principal import Principal, required
from app.config_service.watch import Snapshot
from app.web.errors import BadRequest
from app.web.policy import RoutePolicy
from app.web.responses import json_response

LARGE_BODY = RoutePolicy(max_body_bytes=MAX_NAMESPACE_BYTES + 64 * 1024)
MERGE_PATCH = "application/merge-patch+json"


async def allowed(request: Request[ConfigState], need: Role) -> tuple[Snapshot, Principal, Right]:
    """(the namespace, the caller, its right). Raises SignInRequired, NotFound, Forbidden, StoreUnavailable."""
    principal = await request.state["config_principals"].get(request.scope)
    name = request.path_params["ns"]
    snapshot = await request.state["config_namespaces"].get(name) if NAMESPACE.fullmatch(name) else None
    right = required(principal, snapshot.namespace if snapshot is not None else None, need)
    assert snapshot is not None
    return snapshot, principal, right


def flag(request: Request[Any], name: str) -> bool:
    match request.query_params.get(name, "false"):
        case "true" | "1" | "":
            return True
        case "false" | "0":
            return False
    raise BadRequest(f"{name}: must be true or false", field=name)


def why(request: Request[Any]) -> str:
    return request.query_params.get("why", "").encode("utf-8", "replace").decode()


def condition_of(request: Request[Any], key: str | None = None) -> Condition:
    """Of several lines of a header, all count (RFC 9110, 5.3)."""
    match, none_match = (request.headers.getlist(name) for name in ("if-match", "if-none-match"))
    return Condition(", ".join(match) if match else None, ", ".join(none_match) if none_match else None, key)


def tagged(request: Request[ConfigState], tag: str, document: Any) -> Response:
    """The document with its entity tag; 304 for a client that has it."""
    header = request.headers.get("if-none-match")
    known = header is not None and if_none_match(header, tag)
    response = Response(status_code=304) if known else json_response(document)
    response.headers.update(etag(tag) | age(request))
    return response


def etag(tag: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"'}


def age(request: Request[ConfigState]) -> dict[str, str]:
    """The `Age` header while Redis is away: seconds since it was last reachable."""
    seconds = request.state["config_namespaces"].age()
    return {} if seconds is None else {"X-Config-Age": str(seconds)}
