"""Reads requests of the configuration service."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.config_service.lifespan import ConfigState
from app.config_service.models import NAMESPACE, Right, Role
from app.config_service.preconditions import Condition, if_none_match
from app.config_service.principal import Principal, required
from app.config_service.strict_json import MAX_NAMESPACE_BYTES, BadJson, parse
from app.config_service.watch import Snapshot
from app.web.body import B, validated
from app.web.errors import BadRequest, UnsupportedMedia
from app.web.headers import content_type
from app.web.policy import RoutePolicy
from app.web.responses import json_response

LARGE_BODY = RoutePolicy(max_body_bytes=MAX_NAMESPACE_BYTES + 64 * 1024)
MERGE_PATCH, JSON = "application/merge-patch+json", "application/json"


async def allowed(request: Request[ConfigState], need: Role) -> tuple[Snapshot, Principal, Right]:
    """(the namespace, the caller, its right). Raises SignInRequired, NotFound, Forbidden, StoreUnavailable."""
    principal = await request.state["config_principals"].get(request.scope)
    name = request.path_params["ns"]
    snapshot = await request.state["config_namespaces"].get(name) if NAMESPACE.fullmatch(name) else None
    right = required(principal, snapshot.namespace if snapshot is not None else None, need)
    assert snapshot is not None
    return snapshot, principal, right


async def json_body(request: Request[Any], accepted: str = JSON) -> Any:
    """Raises UnsupportedMedia, BadRequest."""
    if content_type(request) != accepted:
        raise UnsupportedMedia(accepted)
    try:
        return parse(await request.body())
    except BadJson as error:
        raise BadRequest(f"body: {error}", field="body") from None


async def model_body(request: Request[Any], model: type[B]) -> B:
    """Raises UnsupportedMedia, BadRequest."""
    document = await json_body(request)
    if not isinstance(document, dict):
        raise BadRequest("body: must be a JSON object", field="body")
    return validated(model, document)


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
