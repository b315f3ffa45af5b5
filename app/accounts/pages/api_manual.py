"""The API documentation: an OpenAPI document and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.helpers import page
from app.accounts.lifespan import AccountState
from app.web.openapi import FILE, STANDARD, ApiRoute, Operation, Schema, Shape, document, problems, schema_of
from app.web.responses import json_response


@dataclass(frozen=True, slots=True)
class Line:
    """A parameter or a member of a body."""

    name: str
    where: str
    type: str
    required: bool
    description: str


MANUAL = Operation("This documentation as an OpenAPI document", {"type": "object"}, tag="manual")


class Manual:
    """Made at the first request: most starts of the service never need it, and it takes longer than the rest of one."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._own = ApiRoute("GET", "/api/openapi.json", self.as_json, MANUAL, name="manual")
        self._documented = [*routes, self._own]
        self.routes = self._own, Route("/api", self.as_page, methods=["GET"])

    @cached_property
    def document(self) -> dict[str, Any]:
        return document(self._documented)

    @cached_property
    def groups(self) -> list[tuple[str, list[dict[str, Any]]]]:
        return _groups(self._documented)

    async def as_json(self, request: Request[AccountState]) -> Response:
        return json_response(self.document)

    async def as_page(self, request: Request[AccountState]) -> Response:
        return await page(request, "accounts/api.html", info=self.document["info"], groups=self.groups)


def manual_routes(routes: Sequence[BaseRoute]) -> tuple[Route, Route]:
    """`/api/openapi.json` and `/api`, which document the ApiRoutes among `routes` and themselves."""
    return Manual(routes).routes


def _groups(routes: Sequence[BaseRoute]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for route in routes:
        if isinstance(route, ApiRoute):
            groups.setdefault(route.operation.tag, []).append(_operation(route))
    return list(groups.items())


def _operation(route: ApiRoute) -> dict[str, Any]:
    operation = route.operation
    return {
        "method": route.method,
        "path": route.path,
        "summary": operation.summary,
        "parameters": [
            *(Line(name, "path", "string", True, it.text) for name, it in route.parameters.items()),
            *(Line(name, "query", _type(it.schema), False, it.text) for name, it in route.query.items()),
            *(Line(name, "header", "string", False, text) for name, text in operation.headers.items()),
        ],
        "body": _members(schema_of(operation.body, {}, "validation")) if operation.body is not None else None,
        "responses": [
            {"status": status, "description": text, "shape": _shape(shape)}
            for status, (text, shape) in operation.responses.items()
        ]
        + [{"status": status, "description": STANDARD[status], "shape": ""} for status in problems(route)],
        "curl": _curl(route),
    }


def _shape(shape: Shape | None) -> str:
    """The JSON Schema of a response; empty if it has no body."""
    if shape is None:
        return ""
    return orjson.dumps(schema_of(shape, {}, "serialization"), option=orjson.OPT_INDENT_2).decode()


def _curl(route: ApiRoute) -> str:
    """A command line that asks for the operation."""
    parts = ["curl", *([] if route.method == "GET" else ["-X", route.method])]
    if route.operation.guarded:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if route.operation.body is FILE:
        parts.append("--data-binary @FILE")
    elif route.operation.body is not None:
        example = orjson.dumps(_example(schema_of(route.operation.body, {}, "validation"))).decode()
        parts.append(f"-H 'Content-Type: {route.operation.accepts}' -d '{example}'")
    return " ".join([*parts, f"$ORIGIN{route.path}"])


def _example(schema: Schema) -> Any:
    """A body with what is required, and with "..." where it needs a text."""
    schema = schema["anyOf"][0] if "anyOf" in schema else schema
    if "enum" in schema or "const" in schema:
        return schema["enum"][0] if "enum" in schema else schema["const"]
    match schema.get("type"):
        case "object":
            required = schema.get("required") or [*schema.get("properties", {})][:1]
            return {name: _example(schema["properties"][name]) for name in required}
        case "array":
            return [_example(schema["items"])] if "items" in schema else []
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
    return "..."


def _members(schema: Schema) -> list[Line]:
    required = schema.get("required", ())
    return [
        Line(name, "body", _type(member), name in required, member.get("description", ""))
        for name, member in schema.get("properties", {}).items()
    ]


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    return str(schema.get("type") or schema.get("$ref", "any").rpartition("/")[2])
