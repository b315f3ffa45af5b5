"""The API's manual: as an OpenAPI document, and as a page to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.web.answers import json_answer
from app.web.openapi import ApiRoute, Schema, document
from app.web.state import WebState


@dataclass(frozen=True, slots=True)
class Line:
    """A parameter or a member of a body."""

    name: str
    where: str
    type: str
    required: bool
    description: str


def manual_routes(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """`/api/openapi.json` and `/api`, about the ApiRoutes among these routes."""
    described = document(routes)

    async def as_json(request: Request[WebState]) -> Response:
        return json_answer(described)

    async def as_page(request: Request[WebState]) -> Response:
        pages = request.state["pages"]
        return pages.page(
            request.scope, "accounts/api.html", info=described["info"], groups=_groups(routes), sign_in_url="/sign-in"
        )

    return [Route("/api/openapi.json", as_json), Route("/api", as_page)]


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
        "body": _members(operation.body) if operation.body else None,
        "responses": [{"status": status, "description": text} for status, (text, _) in operation.answers.items()],
    }


def _members(schema: Schema) -> list[Line]:
    required = schema.get("required", ())
    return [
        Line(name, "body", _type(member), name in required, member.get("description", ""))
        for name, member in schema["properties"].items()
    ]


def _type(schema: Schema) -> str:
    return " or ".join(_type(option) for option in schema["anyOf"]) if "anyOf" in schema else str(schema["type"])
