"""The authorization response: a redirect, a page, or a form."""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import page, redirect_page
from app.oauth_server.endpoint import issuer_of
from app.oauth_server.errors import OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import AuthorizationRequest, Client
from app.oauth_server.redirect_uris import origin_of
from app.server.security_headers import CONTENT_SECURITY_POLICY


async def fail(
    request: Request[OAuthServerState], waiting: AuthorizationRequest, error: OAuthError, *, after_form: bool = False
) -> Response:
    values = {"error": error.code, "error_description": error.description}
    return await answer(request, waiting, values, after_form=after_form)


async def answer(
    request: Request[OAuthServerState], waiting: AuthorizationRequest, values: dict[str, str], *, after_form: bool
) -> Response:
    """The response with `state` and `iss` (RFC 9207). After a form it is a page, because Chromium
    applies form-action to the redirects that follow.
    """
    issuer = issuer_of(request)
    if waiting.response_mode == "form_post":
        response = await page(
            request, "oauth_server/form_post.html", action=waiting.redirect_uri, fields=_fields(waiting, values, issuer)
        )
        return _with_form_action(response, origin_of(waiting.redirect_uri))
    url = with_query(waiting, values, issuer)
    if after_form:
        return await redirect_page(request, url)
    return Response(status_code=303, headers={"Location": url, "Cache-Control": "no-store"})


async def refuse(request: Request[OAuthServerState], waiting: AuthorizationRequest, client: Client) -> Response:
    """The page for a user who may not use the client; its button is the response."""
    issuer = issuer_of(request)
    values = {"error": "access_denied", "error_description": "the user may not use this client"}
    posts = waiting.response_mode == "form_post"
    back = waiting.redirect_uri if posts else with_query(waiting, values, issuer)
    fields = _fields(waiting, values, issuer) if posts else {}
    response = await page(
        request, "oauth_server/refused.html", status_code=403, client=client, back=back, fields=fields
    )
    return _with_form_action(response, f"'self' {origin_of(waiting.redirect_uri)}") if posts else response


def _with_form_action(response: Response, sources: str) -> Response:
    policy = CONTENT_SECURITY_POLICY.decode().replace("form-action 'self'", f"form-action {sources}")
    response.headers["content-security-policy"] = policy
    return response


def _fields(waiting: AuthorizationRequest, values: dict[str, str], issuer: str | None) -> dict[str, str]:
    return values | ({"state": waiting.state} if waiting.state is not None else {}) | {"iss": issuer or ""}


def with_query(waiting: AuthorizationRequest, values: dict[str, str], issuer: str | None) -> str:
    """The redirect URI, whose own query stays as it is."""
    separator = "&" if urlsplit(waiting.redirect_uri).query else "?"
    return f"{waiting.redirect_uri.rstrip('?&')}{separator}{urlencode(_fields(waiting, values, issuer))}"
