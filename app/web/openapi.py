"""The OpenAPI document, made of the API's routes. Pydantic models give schema, validation and documentation at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.routing import BaseRoute

from app import __version__
from app.web.policy import DEFAULT_POLICY, PolicyRoute, RoutePolicy

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
FILE: Schema = {"type": "string", "format": "binary"}
"""A body that is a file: bytes of any form."""
PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "field": {"type": "string", "description": "The part of the request that is wrong."},
        "sign_in_url": {"type": "string", "description": "Where a person signs in."},
    },
}
STANDARD = {
    400: "A part of the request is wrong; `field` names it.",
    401: "Authentication is missing (`sign_in_url` tells where to sign in) or wrong.",
    403: "The request comes from another site, or the user may not do this.",
    404: "The resource does not exist.",
    409: "The request conflicts with the present state.",
    412: "Another change came first: `version` is the present one, `changed` names what changed.",
    413: "The request is too large.",
    415: "The Content-Type is not supported.",
    422: "The change breaks a rule: `key` and `rule` name it.",
    428: "If-Match is required.",
    429: "Too many attempts: try again after Retry-After seconds.",
    502: "The provider does not respond, or its response is invalid.",
    503: "Redis is unavailable: try again after Retry-After seconds.",
}


Shape = Any
"""A body or response: a pydantic model, any type that pydantic knows (`list[Model]`), or a JSON Schema."""


class ResponseModel(BaseModel):
    """The base of models of responses, made of objects with the same attributes."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


@dataclass(frozen=True)
class Query:
    """A parameter: its description and its JSON Schema."""

    text: str
    schema: Schema


@dataclass(frozen=True)
class Operation:
    """Describes one method of one path. What holds for most operations is added: see `problems` and `responses`."""

    summary: str
    response: Shape | None = None
    """Of a success; None: no content."""
    _: KW_ONLY
    tag: str
    status: int | None = None
    """Of a success; by default 200, or 204 for no content."""
    returns: str = ""
    """Describes the response, where the summary does not do so."""
    other_responses: Mapping[int, tuple[str, Shape | None]] = field(default_factory=dict)
    body: Shape | None = None
    accepts: str = "application/json"
    """The type of the body."""
    parameters: Mapping[str, str | Query] = field(default_factory=dict)
    """Parameters of the path, those with a description alone are texts; may describe more than one path has."""
    query: Mapping[str, str | Query] = field(default_factory=dict)
    """Optional parameters of the query; those with a description alone are texts."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of optional headers of the request."""
    media: Sequence[str] = ("application/json",)
    """The types that a successful response may have."""
    problems: Sequence[int] = ()
    guarded: bool = False
    """It requires authentication."""

    @property
    def responses(self) -> dict[int, tuple[str, Shape | None]]:
        status = self.status or (204 if self.response is None else 200)
        return {status: (self.returns or HTTPStatus(status).phrase, self.response), **self.other_responses}


class ApiRoute(PolicyRoute):
    """A route of the API, with its description."""

    def __init__(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        operation: Operation,
        name: str | None = None,
        policy: RoutePolicy = DEFAULT_POLICY,
    ) -> None:
        super().__init__(path, endpoint, methods=[method], name=name, policy=policy)
        self.method = method
        self.operation = operation
        self.parameters = {name: _query(operation.parameters.get(name, "")) for name in self.param_convertors}
        self.query = {name: _query(parameter) for name, parameter in operation.query.items()}


ALWAYS = (400, 413, 503)
"""Any operation may answer so before it runs."""
WAIT: Schema = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all ApiRoutes among the routes."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Schema] = {"Problem": PROBLEM}
    for route in routes:
        if isinstance(route, ApiRoute):
            paths.setdefault(route.path, {})[route.method.lower()] = _describe(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallygate",
            "version": __version__,
            "description": "Sign-in and counting for front ends and programs.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "tallygate",
                    "description": "Set by `POST /api/session`; over HTTPS its name is `__Host-tallygate`.",
                },
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def schema_of(shape: Shape, schemas: dict[str, Schema], mode: Literal["validation", "serialization"]) -> Schema:
    """The JSON Schema of a shape; definitions of models inside it are added to `schemas`."""
    if isinstance(shape, dict):
        return shape
    schema: Schema = _plain(TypeAdapter(shape).json_schema(mode=mode, ref_template="#/components/schemas/{model}"))
    schemas.update(schema.pop("$defs", {}))
    return schema


def _plain(schema: Any) -> Any:
    """Without pydantic's titles, which repeat the names, and without defaults, which are null."""
    match schema:
        case dict():
            return {
                name: {key: _plain(value) for key, value in member.items()} if name in _BY_NAME else _plain(member)
                for name, member in schema.items()
                if name not in {"title", "default"}
            }
        case list():
            return [_plain(item) for item in schema]
        case _:
            return schema


_BY_NAME = frozenset({"properties", "$defs"})
"""Keywords whose members are names, so that a property may be called `title`."""


def _describe(route: ApiRoute, schemas: dict[str, Schema]) -> dict[str, Any]:
    operation = route.operation
    described: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.name}",
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            str(status): {"description": text}
            | ({"content": _content(shape, schemas, operation.media)} if shape is not None else {})
            for status, (text, shape) in operation.responses.items()
        },
    }
    described["responses"] |= {str(status): _problem(status) for status in problems(route)}
    if operation.guarded:
        described["security"] = [{"token": []}, {"session": []}]
    if parameters := _parameters(route):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {operation.accepts: {"schema": schema_of(operation.body, schemas, "validation")}},
        }
    return described


def _parameters(route: ApiRoute) -> list[Schema]:
    in_path = {name: Query(it.text, it.schema | {"minLength": 1}) for name, it in route.parameters.items()}
    headers = {name: _query(about) for name, about in route.operation.headers.items()}
    return [
        {"name": name, "in": where, "description": it.text, "schema": it.schema}
        | ({"required": True} if where == "path" else {})
        for where, parameters in (("path", in_path), ("query", route.query), ("header", headers))
        for name, it in parameters.items()
    ]


def _query(parameter: str | Query) -> Query:
    return Query(parameter, TEXT) if isinstance(parameter, str) else parameter


def _content(shape: Shape, schemas: dict[str, Schema], media: Sequence[str]) -> Schema:
    return {kind: {"schema": schema_of(shape, schemas, "serialization")} for kind in media}


def problems(route: ApiRoute) -> list[int]:
    """The statuses of errors that the route may answer."""
    operation = route.operation
    return sorted(
        {
            *ALWAYS,
            *operation.problems,
            *((401, 403) if operation.guarded else ()),
            *((403,) if route.method != "GET" else ()),  # a request of another site
            *((404,) if route.parameters else ()),
        }
    )


def _problem(status: int) -> Schema:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer: Schema = {"description": STANDARD[status], "content": content}
    return answer | {"headers": WAIT} if status in {429, 503} else answer
