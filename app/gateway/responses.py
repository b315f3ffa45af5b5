"""Responses that refuse a request or redirect its browser to the sign-in."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
from starlette.types import Scope

from app.gateway.original_request import OriginalRequest
from app.gateway.rules import Effect
from app.server.security_headers import with_security
from app.web.errors import Problem
from app.web.fast_path import FastResponse, StaticHeaders
from app.web.headers import RawHeaders, headers_of
from app.web.i18n import N_
from app.web.responses import NOT_CACHED
from app.web.templating import Pages

STATIC_FOLDER = "/.tallygate"
"""Prefix of `/static/...` in pages at a protected host."""
MAX_NEXT_BYTES = 8192


class NotSignedIn(Problem):
    status = 401
    title = N_("Please sign in")
    detail = N_("Please sign in to see this page.")


class RequestNotKept(NotSignedIn):
    detail = N_(
        "Please sign in first. Your request was not carried out and what you sent was not kept: sign in, go back, and "
        "send it again."
    )


class NotAllowed(Problem):
    status = 403
    title = N_("Not allowed")
    detail = N_("Your account may not see this page.")


class OutOfScope(NotAllowed):
    detail = N_("This token lacks the scope that is needed.")


class BadAddress(Problem):
    status = 400
    title = N_("Bad request")


def is_program(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client is not a browser. Browsers open a dialog for a Basic challenge."""
    return (
        b"sec-fetch-mode" not in headers
        and b"x-requested-with" not in headers
        and not headers.get(b"user-agent", b"").startswith(b"Mozilla/")
    )


def is_navigation(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser loads a page with this request: then a redirect leads to the sign-in page."""
    return (
        method == "GET"
        and b"text/html" in headers.get(b"accept", b"").lower()
        and headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"
        and b"upgrade" not in headers
        and b"x-requested-with" not in headers
    )


def start_url(original: OriginalRequest, within: int | None) -> str:
    """The URL that starts a sign-in at a host and returns to the requested page."""
    target = original.target
    if len(target) > MAX_NEXT_BYTES:
        target = target.partition("?")[0]
    if len(target) > MAX_NEXT_BYTES:
        target = "/"
    age = f"within={within}&" if within is not None else ""
    return f"{original.origin}/.tallygate/start?{age}next={quote(target, safe=SAFE_IN_QUERY)}"


SAFE_IN_QUERY = "/?:@!$'()*,;=-._~|{}[]\""


def refused(
    scope: Scope, pages: Pages, original: OriginalRequest, effect: Effect, within: int | None, *, redirects: bool
) -> FastResponse:
    """The response to a request that is not allowed. With `redirects` a browser's navigation gets a 302; nginx
    understands only 401.
    """
    headers = headers_of(scope)
    navigation = is_navigation(original.method, headers)
    if effect == Effect.REFUSE:
        return problem(scope, pages, NotAllowed(), page=navigation)
    again = within if effect == Effect.SIGN_IN_AGAIN else None
    url = start_url(original, again)
    if navigation:
        return StaticHeaders(
            *with_security([(b"location", url.encode()), *NOT_CACHED, *([] if redirects else [challenge(scope)])]),
            status=302 if redirects else 401,
            security=False,
        ), b""
    has_body = original.method not in {"GET", "HEAD"}
    refusal = (RequestNotKept if has_body else NotSignedIn)(sign_in_url=url)
    form = has_body and headers.get(b"sec-fetch-mode") == b"navigate"
    return problem(scope, pages, refusal, challenge(scope), page=form)


def challenge(scope: Scope) -> tuple[bytes, bytes]:
    """Programs such as git send credentials only after a Basic challenge; browsers would open a dialog."""
    if is_program(headers_of(scope)):
        return b"www-authenticate", b'Basic realm="Tallygate", charset="UTF-8"'
    return b"www-authenticate", b"Bearer"


def problem(
    scope: Scope, pages: Pages, error: Problem, *extra: tuple[bytes, bytes], page: bool = False
) -> FastResponse:
    """A problem document, or a page that a protected host can show."""
    locale = pages.locale_of(scope)
    title = pages.translate(locale, error.title)
    detail = pages.translate(locale, error.detail) if error.detail else None
    if page:
        kind, body = (
            b"text/html; charset=utf-8",
            site_page(
                pages, locale, title=title, detail=detail, status=error.status, url=error.members.get("sign_in_url")
            ),
        )
    else:
        document = {"type": "about:blank", "title": title, "status": error.status, "detail": detail, **error.members}
        kind = b"application/problem+json"
        body = orjson.dumps({name: value for name, value in document.items() if value is not None})
    own = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    headers: RawHeaders = [(b"content-type", kind), *NOT_CACHED, *own, *extra]
    return StaticHeaders(*with_security(headers), status=error.status, security=False), body


def site_page(pages: Pages, locale: str, **context: Any) -> bytes:
    """A page whose static files are below `/.tallygate/`: other paths of the host belong to the application."""
    usual: dict[str, Any] = {"detail": None, "status": None, "url": None, "form": None, "user": None}
    values = usual | {"static": lambda name: STATIC_FOLDER + pages.static(name)} | context
    return pages.template(locale, "gateway/site.html").render(**values).encode()
