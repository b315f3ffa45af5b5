"""Helpers of handlers: pages with their user, redirects, flash messages, audit entries."""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.accounts.email.mails import CHANGES
from app.accounts.lifespan import S
from app.accounts.models import User
from app.audit.log import Event
from app.sessions.session import flash, take_flash
from app.web.errors import TooMany
from app.web.language import remember
from app.web.negotiate import prefers_json


async def page(
    request: Request[S],
    name: str,
    *,
    status_code: int | None = None,
    error: str | None = None,
    field: str | None = None,
    **context: Any,
) -> Response:
    """Renders a template with the user, the flash message and the error in the reader's language; `field` is the wrong
    one. Without `user` it is the session's, and without a status it is 400 if there is an error.
    """
    state, scope = request.state, request.scope
    pages = state["pages"]
    locale = pages.locale_of(scope)
    user = context.pop("user", None) or await state["current_user"].get(scope)
    session = await state["sessions"].open(scope)
    message = take_flash(session) if session is not None and request.method != "HEAD" else None
    return pages.page(
        scope,
        name,
        status_code=status_code or (400 if error else 200),
        user=user,
        sign_in_url="/sign-in",
        flash=pages.translate(locale, message) if message else None,
        error=pages.translate(locale, error) if error else None,
        field=field,
        **context,
    )


def see_other(path: str) -> Response:
    """A 303 after a form: reloading the page does not send the form again."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def translated(request: Request[S], sentence: str) -> str:
    """The sentence in the reader's language."""
    pages = request.state["pages"]
    text: str = pages.translate(pages.locale_of(request.scope), sentence)
    return text


async def redirect_page(request: Request[S], url: str) -> Response:
    """A page that redirects to another site, or to an app by its scheme: CSP's form-action forbids a redirect after a
    form.
    """
    return await page(request, "accounts/onward.html", url=url, site=urlsplit(url).hostname or urlsplit(url).scheme)


def in_the_language_of(user: User, response: Response, scope: Scope) -> None:
    """Sets the language cookie to the language of the user's account, if one is chosen."""
    if user.locale:
        remember(response, scope, user.locale)


async def flash_message(request: Request[S], message: str) -> None:
    """Stores a message (an English sentence) for the next page; does nothing without a session."""
    session = await request.state["sessions"].open(request.scope)
    if session is not None:
        flash(session, message)


async def redirect_with_message(request: Request[S], path: str, message: str) -> Response:
    """A 303 after a form to a page that shows the message."""
    await flash_message(request, message)
    return see_other(path)


def own_origin(request: Request[Any]) -> str:
    """The origin for links: `public_url`, or where this request came to."""
    url: str | None = request.state["settings"].public_url
    return url or str(request.base_url).rstrip("/")


def address_of(request: Request[Any]) -> str:
    return request.client.host if request.client else ""


def raise_if_limited(wait: int) -> None:
    """Raises TooMany if a rate limit returned seconds to wait."""
    if wait:
        raise TooMany(wait)


def with_limit(request: Request[S], limited: TooMany, response: Response) -> Response:
    """The page as the answer to too many attempts: it keeps the other ways on. Raises TooMany for the API."""
    if prefers_json(request.scope):
        raise limited
    response.status_code = limited.status
    response.headers.update(limited.headers)
    return response


async def audit(
    request: Request[S], event: Event, *, user: User | str, by: User | None = None, detail: str = ""
) -> None:
    """Writes an audit entry about a user; `by` is the actor if that is another user. The verified address that `user`
    holds, which may be a former one, is told of changes of how the user signs in.
    """
    await request.state["audit"].record(
        event,
        user=user if isinstance(user, str) else user.id,
        actor=by.id if by is not None else "",
        address=address_of(request),
        request_id=request.scope["state"]["request_id"],
        detail=detail,
    )
    if event in CHANGES and isinstance(user, User) and user.email_verified:
        locale = user.locale or request.state["pages"].locale_of(request.scope)
        await request.state["mail"].enqueue(
            "notice", to=user.email, name=user.name, event=event.value, detail=detail, locale=locale
        )


async def names_of(request: Request[S], user_ids: Iterable[str]) -> dict[str, str]:
    """The names of users by their ids; the id stands for a removed user. Each user is read once."""
    ids = set(user_ids)
    return dict(zip(ids, await asyncio.gather(*(_name(request, user_id) for user_id in ids)), strict=True))


async def _name(request: Request[S], user_id: str) -> str:
    user = await request.state["accounts"].by_id(user_id) if user_id else None
    return user.name if user is not None else user_id
