"""Whether an answer of the API is one that the OpenAPI document describes."""

import re
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator


class Conformity:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = [
            (re.compile(re.sub(r"{[^}]+}", "[^/]+", path)), operations)
            for path, operations in document["paths"].items()
        ]

    def check(self, answer: httpx.Response) -> None:
        """Asserts that status, type and body are described; what is not described at all is a 404 or a 405."""
        operation = self._operation(answer.request)
        if operation is None:
            assert answer.status_code in {404, 405}, answer.request
            return
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        kinds = described.get("content")
        if kinds is None:
            assert not answer.content
            return
        schema = kinds[answer.headers["content-type"]]["schema"]
        if answer.request.method != "HEAD" and "json" in answer.headers["content-type"].partition(";")[0][-4:]:
            Draft202012Validator(schema | {"components": self._document["components"]}).validate(answer.json())
        assert described.get("headers", {}).keys() <= {name.title() for name in answer.headers}

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        method = "get" if request.method == "HEAD" else request.method.lower()
        for path, operations in self._paths:
            if path.fullmatch(request.url.path):
                found: dict[str, Any] | None = operations.get(method)
                return found
        return None
