"""How tests ask the API: every answer has to be one that the OpenAPI document describes."""

from functools import cache
from typing import Any

import httpx
import pytest

from app.routes import all_routes
from app.web.openapi import document
from tests.helpers.openapi_conformity import Conformity
from tests.helpers.service import Running


def problem(answer: httpx.Response, status_code: int) -> dict[str, Any]:
    """The problem document of an answer, which has what every one has."""
    assert answer.status_code == status_code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    assert told["type"] == "about:blank"
    assert told["status"] == status_code
    assert told["title"]
    assert told["request_id"] == answer.headers["x-request-id"]
    return told


@pytest.fixture(autouse=True)
def true_to_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of the API that a test here gets has to be one that the OpenAPI document describes."""
    conformity = _conformity()
    another_client = Running.another_client

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        if answer.request.url.path.startswith("/api/"):
            conformity.check(answer)

    def watched(service: Running, **options: Any) -> httpx.AsyncClient:
        return another_client(service, event_hooks={"response": [check]}, **options)

    monkeypatch.setattr(Running, "another_client", watched)


@cache
def _conformity() -> Conformity:
    return Conformity(document(all_routes()))


async def token_for(client: httpx.AsyncClient, **fields: Any) -> str:
    answer = await client.post("/api/account/tokens", json={"name": "backup", **fields})
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["token"]
    return secret


def program(service: Running, secret: str, **options: Any) -> httpx.AsyncClient:
    """A program that has a token."""
    return service.another_client(headers={"Authorization": f"Bearer {secret}"}, **options)
