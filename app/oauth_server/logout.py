"""RP-initiated logout: asks the user, unless the hint names the session."""

from typing import cast
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.accounts.helpers import audit, page, redirect_page
from app.accounts.lifespan import AccountState
from app.accounts.sign_in import authentication
from app.audit.log import Event
from app.oauth_server.endpoint import BROWSERS, form_as_query, issuer_of
from app.oauth_server.errors import OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.oauth_server.parameters import Parameters, strict
from app.oauth_server.tokens import sid_of
from app.signing_keys.key_ring import BadToken
from app.web.body import form_fields
from app.web.errors import BadRequest
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute

LogoutRequest = Request[OAuthServerState]


async def end_session(request: LogoutRequest) -> Response:
    """`GET /oauth2/end-session`; a hint may have expired. An invalid one is an error page without a redirect.

    Without the cookie it comes from a client's server, or from another browser: the session of the hint ends.
    """
    issuer_of(request)
    try:
        parameters = strict(request.scope["query_string"])
    except OAuthError as error:
        raise BadRequest(error.description, field="query") from None
    hint = await _hint(request, parameters)
    client = await _client(request, parameters, hint)
    back = _redirect_uri(client, parameters)
    session = await request.state["sessions"].open(request.scope)
    user = await request.state["current_user"].get(request.scope)
    if session is None or user is None:
        if hint is not None and client is not None:
            await _end_session_of(request, hint)
        return RedirectResponse(back, 303) if back is not None else await page(request, "oauth_server/signed_out.html")
    fits = hint is not None and client is not None and hint.get("sub") == await _subject(request, user.id, client)
    if not fits:
        return await page(request, "oauth_server/end_session.html", client=client, back=back or "")
    await authentication.sign_out(cast(Request[AccountState], request))
    return RedirectResponse(back, 303) if back is not None else await page(request, "oauth_server/signed_out.html")


async def sign_out(request: LogoutRequest) -> Response:
    """`POST /oauth2/sign-out` with `client` and `back`, after the confirmation."""
    issuer_of(request)
    fields = await form_fields(request, "client", "back")
    client = await request.state["oauth_server"].clients.find(fields["client"])
    await authentication.sign_out(cast(Request[AccountState], request))
    if client is not None and _is_redirect_uri(client, fields["back"]):
        return await redirect_page(request, fields["back"])
    return await page(request, "oauth_server/signed_out.html")


async def _end_session_of(request: LogoutRequest, hint: dict[str, object]) -> None:
    """A pairwise subject names no user: its session stays."""
    user, sessions = str(hint.get("sub")), request.state["sessions"]
    ended = [each for each in await sessions.of_user(user) if each.root and sid_of(each.root) == hint.get("sid")]
    if await sessions.end_these(ended):
        await audit(request, Event.SIGN_OUT, user=user)


async def _hint(request: LogoutRequest, parameters: Parameters) -> dict[str, object] | None:
    if "id_token_hint" not in parameters:
        return None
    try:
        return await request.state["oauth_server"].issuing.keys.verified(parameters["id_token_hint"])
    except BadToken:
        raise BadRequest(N_("The ID token of this sign-out is not valid."), field="id_token_hint") from None


async def _client(request: LogoutRequest, parameters: Parameters, hint: dict[str, object] | None) -> Client | None:
    named = parameters.get("client_id", "")
    audience = str(hint.get("aud", "")) if hint is not None else named
    if named and named != audience:
        raise BadRequest(N_("The ID token of this sign-out is another service's."), field="client_id")
    return await request.state["oauth_server"].clients.find(audience)


def _redirect_uri(client: Client | None, parameters: Parameters) -> str | None:
    """The post_logout_redirect_uri with `state`; None without one. Raises BadRequest."""
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None:
        return None
    if client is None or uri not in client.post_logout_redirect_uris:
        raise BadRequest(
            N_("The service named an address to go back to that is not registered for it."),
            field="post_logout_redirect_uri",
        )
    state = parameters.get("state")
    separator = "&" if urlsplit(uri).query else "?"
    return uri if state is None else f"{uri}{separator}{urlencode({'state': state})}"


def _is_redirect_uri(client: Client, url: str) -> bool:
    """Whether the URL is a registered one, perhaps with a `state`."""
    return any(
        url == uri or url.startswith(f"{uri}{'&' if urlsplit(uri).query else '?'}state=")
        for uri in client.post_logout_redirect_uris
    )


async def _subject(request: LogoutRequest, user_id: str, client: Client) -> str:
    return await request.state["oauth_server"].issuing.subject(user_id, client)


routes = [
    PolicyRoute("/oauth2/end-session", end_session, methods=["GET"], policy=BROWSERS, head=False),
    PolicyRoute("/oauth2/end-session", form_as_query, methods=["POST"], policy=BROWSERS),
    PolicyRoute("/oauth2/sign-out", sign_out, methods=["POST"], policy=IN_POPUP),
]
