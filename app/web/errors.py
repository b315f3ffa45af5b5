"""The error tree, and the function that makes a page or a problem document (RFC 9457) of an error.

Problem                 status, title, detail; any handler may raise it
├── BadRequest          400, names the field that is wrong
├── SignInRequired      401; a page is sent to sign in instead
│   ├── FreshSignInRequired
│   ├── WrongToken
│   └── SecondFactorSetUpRequired
├── SecondFactorNeeded  401, the password was right
├── WrongCredentials    401
│   ├── WrongPassword
│   ├── WrongCode
│   └── WrongPasskey
├── Forbidden           403
├── NotFound            404
├── MethodNotAllowed    405, with the methods that are allowed
├── Conflict            409
│   └── FormOfAnotherUser
├── PreconditionFailed  412
├── TooLarge            413
├── UnsupportedMedia    415
├── Unprocessable       422, what is well-formed and breaks a rule
├── PreconditionNeeded  428
├── TooMany             429, with the seconds after which to try again
└── Unavailable         503, with the seconds after which to try again
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.store.client import NoPermissionError, StoreUnavailable
from app.web.headers import headers_of
from app.web.i18n import N_
from app.web.negotiate import prefers_json
from app.web.redirects import safe_path
from app.web.responses import json_response
from app.web.templating import Pages


class Problem(Exception):
    """An error for the reader. `title` and `detail` are English sentences, translated when shown."""

    status = 500
    title = N_("Something went wrong")
    detail: str | None = N_("The error has been logged. Quote the reference below when you report it.")

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.members = members
        self.headers: dict[str, str] = {}


class BadRequest(Problem):
    status = 400
    title = N_("Bad request")
    detail = None

    def __init__(self, detail: str, *, field: str) -> None:
        super().__init__(detail, field=field)


class SignInRequired(Problem):
    """The request needs a signed-in user. `back` is the path to return to from the `page`."""

    page = "/sign-in"
    status = 401
    title = N_("Please sign in")
    detail = N_("Please sign in to see this page.")

    def __init__(self, back: str | None = None) -> None:
        query = f"?next={quote(back, safe='/')}" if back else ""
        self.url = f"{self.page}{query}"
        super().__init__(sign_in_url=self.url)


class FreshSignInRequired(SignInRequired):
    """The user is signed in, but has not authenticated recently."""

    page = "/confirm"
    detail = N_("Please sign in again to continue.")


class WrongToken(SignInRequired):
    """The request brings an API token, which does not count."""

    title = N_("Wrong API token")
    detail = N_("The API token is unknown, revoked or expired, or its account is disabled.")


class SecondFactorSetUpRequired(SignInRequired):
    """The user is signed in, but has to set up a second factor first."""

    page = "/account/security"
    detail = N_("Your account needs a second factor. Set one up first.")


class SecondFactorNeeded(Problem):
    status = 401
    title = N_("A second factor is needed")
    detail = N_("Send the code of your authenticator app or a recovery code as well, or sign in with a passkey.")


class WrongCredentials(Problem):
    status = 401
    title = N_("Not signed in")


class WrongCode(WrongCredentials):
    detail = N_("The code is wrong or has been used.")


class WrongPasskey(WrongCredentials):
    detail = N_("This passkey was not accepted.")


class WrongPassword(WrongCredentials):
    detail = N_("The username or password is wrong.")


class Forbidden(Problem):
    status = 403
    title = N_("Not allowed")
    detail = None


class NotFound(Problem):
    status = 404
    title = N_("Page not found")
    detail = N_("This page does not exist.")


class MethodNotAllowed(Problem):
    status = 405
    title = N_("Method not allowed")
    detail = N_("This address does not support that method.")

    def __init__(self, allow: str) -> None:
        super().__init__()
        self.headers["Allow"] = allow


class TooLarge(Problem):
    status = 413
    title = N_("Request too large")
    detail = N_("The request is larger than this address accepts.")


class Conflict(Problem):
    status = 409
    title = N_("Conflict")


class FormOfAnotherUser(Conflict):
    title = N_("Another user is signed in now")
    detail = N_("This page was opened by another user. Nothing was changed. Please open it again.")


class PreconditionFailed(Problem):
    status = 412
    title = N_("Changed meanwhile")
    detail = N_("Another change came first. Look at it, then try again.")


class UnsupportedMedia(Problem):
    status = 415
    title = N_("Unsupported media type")
    detail = None

    def __init__(self, accepted: str) -> None:
        super().__init__(f"Content-Type: must be {accepted}", field="Content-Type")
        self.headers["Accept-Patch"] = accepted


class Unprocessable(Problem):
    status = 422
    title = N_("The change does not fit")
    detail = None


class PreconditionNeeded(Problem):
    status = 428
    title = N_("If-Match is required")
    detail = N_("Name the version that you change in If-Match.")


class TooMany(Problem):
    status = 429
    title = N_("Too many attempts")
    detail = N_("Please wait before you try again.")

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after=retry_after)
        self.wait = retry_after
        self.headers["Retry-After"] = str(retry_after)


class Unavailable(Problem):
    status = 503
    title = N_("Service unavailable")
    detail = N_("Sign-in and counting are temporarily unavailable. Please try again soon.")

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = str(retry_after)


def problem_of(error: Exception) -> Problem:
    """The problem that stands for an exception in the response."""
    match error:
        case Problem():
            return error
        case ClientDisconnect():
            return BadRequest(N_("The request was incomplete."), field="body")
        case StoreUnavailable() | NoPermissionError():
            return Unavailable()
        case HTTPException(status_code=404):
            return NotFound()
        case HTTPException(status_code=405):
            return MethodNotAllowed((error.headers or {}).get("Allow", ""))
        case HTTPException(status_code=413):
            return TooLarge()
        case HTTPException(status_code=status) if 400 <= status < 500:
            return BadRequest(str(error.detail), field="body")
        case _:
            return Problem()


def problem_response(
    problem: Problem, scope: Scope, pages: Pages, request_id: str, header: Mapping[str, Any]
) -> Response:
    """The problem as a page in the reader's language, or as JSON if the client prefers that.

    `header` is what the page's header shows of the user.
    """
    if isinstance(problem, SignInRequired) and not prefers_json(scope):
        return RedirectResponse(problem.url, 303, {"Cache-Control": "no-store"})
    locale = pages.locale_of(scope)
    title = pages.translate(locale, problem.title)
    detail = pages.translate(locale, problem.detail) if problem.detail else None
    if prefers_json(scope):
        return problem_json(problem, request_id, title, detail)
    response = pages.page(
        scope,
        "error.html",
        status_code=problem.status,
        title=title,
        detail=detail,
        status=problem.status,
        wait=problem.members.get("retry_after"),
        request_id=request_id,
        back=_came_from(scope),
        **header,
    )
    response.headers.update(problem.headers)
    return response


def problem_json(problem: Problem, request_id: str, title: str, detail: str | None) -> Response:
    document = {"type": "about:blank", "title": title, "status": problem.status, "detail": detail}
    document |= {"request_id": request_id, **problem.members}
    response = json_response({k: v for k, v in document.items() if v is not None}, problem.status)
    response.headers.update({"Content-Type": "application/problem+json"} | problem.headers)
    return response


def _came_from(scope: Scope) -> str:
    """The page of this site that led here; empty if there is none, or it is this one."""
    headers = headers_of(scope)
    try:
        referer = urlsplit(headers.get(b"referer", b"").decode("latin-1"))
    except ValueError:
        return ""
    if not referer.netloc or referer.netloc != headers.get(b"host", b"").decode("latin-1"):
        return ""
    path = safe_path(f"{referer.path}?{referer.query}" if referer.query else referer.path, "")
    return path if path.partition("?")[0] != scope["path"] or scope["method"] != "GET" else ""
