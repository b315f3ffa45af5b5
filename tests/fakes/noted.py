"""What all fakes share: they note what they are asked, and answer something else where a test says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


class _Gone:
    def __repr__(self) -> str:
        return "left out"


GONE = _Gone()
"""The value of a member that is left out."""


@dataclass
class Asked:
    """One request that a fake got."""

    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Noted:
    """`instead` holds answers by path."""

    instead: dict[str, Callable[[], Response]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def count(self, path: str) -> int:
        return sum(one.path == path for one in self.asked)

    def noted(self, handler: Callable[[Asked], Response]) -> Callable[[Request[Any]], Any]:
        """The handler as an endpoint."""

        async def endpoint(request: Request[Any]) -> Response:
            form = {name: str(value) for name, value in (await request.form()).items()}
            asked = Asked(request.url.path, dict(request.query_params), form, dict(request.headers))
            self.asked.append(asked)
            if asked.path in self.instead:
                return self.instead[asked.path]()
            return handler(asked)

        return endpoint


def without_gone(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not GONE}
