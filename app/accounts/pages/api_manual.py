"""The API documentation: an OpenAPI document and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.helpers import page
from app.accounts.lifespan import AccountState
from app.web.openapi import ApiRoute, Operation, Schema, document, schema_of
from app.web.responses import json_response


@dataclass(frozen=True, slots=True)
class Line:
    """A parameter or a member of a body."""

    name: str
    where: str
    type: str
    required: bool
    description: str


MANUAL = Operation(
    summary="This documentation as an OpenAPI document",
    tag="manual",
    responses={200: ("The document.", {"type": "object"})},
)


def manual_routes(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """`/api/openapi.json` and `/api`, which document the ApiRoutes among `routes` and themselves."""

    async def as_json(request: Request[AccountState]) -> Response:
        return json_response(described)

    async def as_page(request: Request[AccountState]) -> Response:
        return await page(request, "accounts/api.html", info=described["info"], groups=groups)

    own = ApiRoute("GET", "/api/openapi.json", as_json, MANUAL, name="manual")
    described, groups = document([*routes, own]), _groups([*routes, own])
    return [own, Route("/api", as_page, methods=["GET"])]


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
        "description": "",
        "parameters": [Line(name, "path", "string", True, text) for name, text in operation.parameters.items()],
        "body": _members(schema_of(operation.body, {}, "validation")) if operation.body is not None else None,
        "responses": [{"status": status, "description": text} for status, (text, _) in operation.responses.items()],
    }


def _members(schema: Schema) -> list[Line]:
    required = schema.get("required", ())
    return [
        Line(name, "body", _type(member), name in required, member.get("description", ""))
        for name, member in schema.get("properties", {}).items()
    ]


def _type(schema: Schema) -> str:
    return " or ".join(_type(option) for option in schema["anyOf"]) if "anyOf" in schema else str(schema["type"])
