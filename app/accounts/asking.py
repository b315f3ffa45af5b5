"""The confirmation page of each action that cannot be undone: a link leads to it (GET), its form performs the action
(POST), and the response redirects, so that no reload repeats it. Only this page has buttons of class `danger`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import page
from app.accounts.lifespan import S
from app.web.errors import BadRequest, NotFound
from app.web.negotiate import prefers_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """English sentences; the first one may name the subject as `%(name)s`."""

    sentence: str
    effect: str
    answer: str
    """The button."""
    danger: bool = True
    typed: str = field(default="", kw_only=True)
    """The label of a field `name` that the user fills in to confirm; empty for most acts."""


def named_in_query(request: Request[S], items: Iterable[T], id_of: Callable[[T], str], name: str = "id") -> T:
    """The item whose id the query names. Raises NotFound."""
    wanted = request.query_params.get(name)
    for item in items:
        if id_of(item) == wanted:
            return item
    raise NotFound


async def ask(
    request: Request[S],
    question: Question,
    *,
    back: str,
    to: str | None = None,
    name: str = "",
    fields: Mapping[str, str] | None = None,
    template: str = "accounts/ask.html",
    error: str | None = None,
    **context: Any,
) -> Response:
    """The page of a question. `to` is the act's path, without it this request's; `back` is where "Cancel" leads;
    `template` extends accounts/ask.html; `error` is about the typed name, and the API's way to say it is BadRequest.
    """
    if error and prefers_json(request.scope):
        raise BadRequest(f"name: {error}", field="name")
    return await page(
        request,
        template,
        error=error,
        question=question,
        back=back,
        to=to or request.url.path,
        subject=name,
        fields={**(fields or {}), "next": back},
        **context,
    )
