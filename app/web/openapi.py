"""The OpenAPI document, put together from the API's own routes, so that it cannot say anything else than the code."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute

from app import __version__
from app.web.policy import USUAL, PolicyRoute, RoutePolicy

Schema = dict[str, Any]
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
    401: "Nobody is signed in: `sign_in_url` says where to; or the name or the password is not right.",
    403: "The request comes from another site, or its sender may not do this.",
    404: "There is no such thing.",
    409: "It contradicts what there is.",
    412: "Another change came first: `version` is the present one, `changed` names what changed.",
    413: "The request is too large.",
    415: "The Content-Type is another one than this address takes.",
    422: "The change breaks a rule: `key` and `rule` name it.",
    428: "If-Match is required here.",
    429: "Too many attempts: wait as long as Retry-After says, in seconds.",
    502: "The provider does not answer, or not as it should.",
    503: "Redis is away: try again after Retry-After seconds.",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one method of one path does, for the document."""

    summary: str
    tag: str
    responses: dict[int, tuple[str, Schema | None]]
    body: Schema | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    """Optional parameters of the query."""
    media: Sequence[str] = ("application/json",)
    """The types that a successful response may have."""
    problems: Sequence[int] = ()
    guarded: bool = False
    """Whether it is for who is signed in only."""


class ApiRoute(PolicyRoute):
    """A route of the API, with its description."""

    def __init__(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        operation: Operation,
        name: str | None = None,
        policy: RoutePolicy = USUAL,
    ) -> None:
        super().__init__(path, endpoint, methods=[method], name=name, policy=policy)
        self.method = method
        self.operation = operation


ALWAYS = (400, 413, 503)
CHANGING = (403,)
"""What is answered before an operation is asked at all; the second where it changes something."""
WAIT: Schema = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all ApiRoutes among the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, ApiRoute):
            paths.setdefault(route.path, {})[route.method.lower()] = _describe(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallygate",
            "version": __version__,
            "description": "Signing in and counting, for front ends of their own and for programs.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
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


def obj(**properties: Schema) -> Schema:
    """An object's schema in which every property is required."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _describe(route: ApiRoute) -> dict[str, Any]:
    operation = route.operation
    described: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.name}",
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            str(status): {"description": text}
            | ({"content": {media: {"schema": schema} for media in operation.media}} if schema else {})
            for status, (text, schema) in operation.responses.items()
        },
    }
    described["responses"] |= {str(status): _problem(status) for status in _problems(route)}
    if operation.guarded:
        described["security"] = [{"token": []}, {"session": []}]
    if operation.parameters or operation.query:
        described["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": text,
                "schema": {"type": "string", "minLength": 1},
            }
            for name, text in operation.parameters.items()
        ] + [
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in operation.query.items()
        ]
    if operation.body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return described


def _problems(route: ApiRoute) -> list[int]:
    operation = route.operation
    changing = CHANGING if route.method != "GET" else ()
    return sorted({*operation.problems, *ALWAYS, *changing, *((401,) if operation.guarded else ())})


def _problem(status: int) -> Schema:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer: Schema = {"description": STANDARD[status], "content": content}
    return answer | {"headers": WAIT} if status in {429, 503} else answer
