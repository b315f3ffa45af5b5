"""The authorization endpoint: validates the request, signs the user in, asks for consent, and returns a code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import audit, page, see_other
from app.accounts.models import User
from app.accounts.secret import digest
from app.audit.log import Event
from app.oauth_server.authorization import checked, redirect_uri_of
from app.oauth_server.authorization_response import answer, fail, refuse
from app.oauth_server.browser_cookies import Headers, bind, bound_value, new_value, unbind
from app.oauth_server.endpoint import BROWSERS, form_as_query, issuer_of
from app.oauth_server.errors import BadRedirect, OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import AuthorizationRequest, Client, Family, Grant
from app.oauth_server.par import pushed, use_up
from app.oauth_server.parameters import Parameters, parsed
from app.oauth_server.scopes import SCOPES
from app.oauth_server.store import REQUEST_LIFETIME, OAuthStore
from app.oauth_server.tokens import new_family_id, sid_of
from app.sessions.session import Session
from app.signing_keys.key_ring import BadToken
from app.store.client import StoreUnavailable
from app.web.body import form_fields
from app.web.cookies import cookie_header, read_cookie
from app.web.errors import BadRequest, NotFound
from app.web.i18n import COOKIE as LANGUAGE
from app.web.i18n import N_
from app.web.language import remember
from app.web.policy import IN_POPUP, PolicyRoute

AuthorizeRequest = Request[OAuthServerState]
GONE = N_("This sign-in has expired, or was started in another browser. Please start again at the service.")
MAX_HINT_LENGTH = 100


async def authorize(request: AuthorizeRequest) -> Response:
    """A `request_uri` is used up when the response is made: if Redis goes away before, the browser may ask again."""
    issuer_of(request)
    store = request.state["oauth_server"].store
    parameters, wrong = parsed(request.scope["query_string"])
    sent = await pushed(store, parameters)
    if sent is None:
        return await _begin(request, parameters, wrong)
    response = await _begin(request, sent, wrong)
    await use_up(store, parameters["request_uri"])
    return response


async def _begin(request: AuthorizeRequest, parameters: Parameters, wrong: OAuthError | None) -> Response:
    provider = request.state["oauth_server"]
    client = await provider.clients.find(parameters.get("client_id", ""))
    try:
        redirect_uri = redirect_uri_of(client, parameters, complete=wrong is None)
    except BadRedirect as bad:
        raise BadRequest(bad.reason, field="client_id" if client is None else "redirect_uri") from None
    assert client is not None
    mode = "form_post" if parameters.get("response_mode") == "form_post" else "query"
    back = AuthorizationRequest(client.id, redirect_uri, (), (), mode, parameters.get("state"))
    try:
        if wrong is not None:
            raise wrong
        begun = await _with_initial_state(request, client, checked(client, redirect_uri, parameters), parameters)
        return await _proceed(request, client, begun)
    except OAuthError as error:
        return await fail(request, back, error)


async def go_on(request: AuthorizeRequest) -> Response:
    """`GET /oauth2/continue?request=`: after signing in."""
    request_id = request.query_params.get("request", "")
    client, waiting = await _stored_request(request, request_id)
    try:
        return await _proceed(request, client, waiting, request_id)
    except OAuthError as error:
        return await fail(request, waiting, error, after_form=True)


async def decide(request: AuthorizeRequest) -> Response:
    """`POST /oauth2/consent` with `request` and `answer` (allow or deny); any other answer shows the question again."""
    fields = await form_fields(request, "request", "answer")
    client, waiting = await _stored_request(request, fields["request"])
    if fields["answer"] == "deny":
        await request.state["oauth_server"].store.take_request(fields["request"])
        denied = await fail(request, waiting, OAuthError("access_denied", "the user did not agree"), after_form=True)
        denied.raw_headers += unbind(request, fields["request"])
        return denied
    user = await request.state["current_user"].get(request.scope)
    shown = user is not None and user.id == waiting.shown_to  # another user may have signed in since
    agreed = replace(waiting, consented=shown and fields["answer"] == "allow")
    try:
        return await _proceed(request, client, agreed, fields["request"])
    except OAuthError as error:
        return await fail(request, waiting, error, after_form=True)


async def _with_initial_state(
    request: AuthorizeRequest, client: Client, checked_request: AuthorizationRequest, parameters: Parameters
) -> AuthorizationRequest:
    """The request with the state at its beginning. Raises OAuthError."""
    provider, hint = request.state["oauth_server"], None
    if "id_token_hint" in parameters:
        try:
            hint = str((await provider.issuing.keys.verified(parameters["id_token_hint"])).get("sub"))
        except BadToken:
            raise OAuthError("invalid_request", "id_token_hint is no ID token of this issuer") from None
    session = await request.state["sessions"].open(request.scope)
    return replace(
        checked_request,
        at=provider.clock(),
        hint_subject=hint,
        known_session=session.key if session is not None else "",
        known_auth_time=session.auth_time if session is not None else 0.0,
    )


async def _proceed(
    request: AuthorizeRequest, client: Client, waiting: AuthorizationRequest, request_id: str | None = None
) -> Response:
    """The next step: sign-in, consent, or the response. Raises OAuthError."""
    provider = request.state["oauth_server"]
    silent = "none" in waiting.prompt
    session = await request.state["sessions"].open(request.scope)
    user = await request.state["current_user"].get(request.scope)
    if user is None or session is None or await _must_sign_in(request, client, waiting, user, session):
        if silent:
            raise OAuthError("login_required", "the user has to sign in")
        return await _sign_in(request, waiting, request_id, again=user is not None)
    if not client.may_be_used_by(user.groups):
        if silent:
            raise OAuthError("access_denied", "the user may not use this client")
        return await refuse(request, waiting, client)
    grant = await provider.issuing.grant(user.id, client)
    if not waiting.consented and _needs_consent(client, waiting, grant):
        if silent:
            raise OAuthError("consent_required", "the user has to agree")
        return await _consent_page(request, client, replace(waiting, shown_to=user.id), request_id)
    if request_id is None:
        return await _finish(request, client, waiting, user, session, grant, after_form=False)
    async with _answered_once(provider.store, request_id):
        response = await _finish(request, client, waiting, user, session, grant, after_form=True)
        response.raw_headers += unbind(request, request_id)
        return response


@asynccontextmanager
async def _answered_once(store: OAuthStore, request_id: str) -> AsyncIterator[None]:
    """Uses up a stored request, unless the block raises. Raises BadRequest for a second click, or another tab."""
    if not await store.claim_request(request_id):
        raise BadRequest(GONE, field="request")
    try:
        yield
    except StoreUnavailable:
        await store.release_request(request_id)
        raise
    if not await store.take_request(request_id):
        raise BadRequest(GONE, field="request")


async def _must_sign_in(
    request: AuthorizeRequest, client: Client, waiting: AuthorizationRequest, user: User, session: Session
) -> bool:
    """Raises OAuthError if the user signed in as another one than the hint names (OpenID Connect Core 3.1.2.1)."""
    since = session.key != waiting.known_session or session.auth_time > waiting.known_auth_time
    if waiting.hint_subject is not None:
        subject = await request.state["oauth_server"].issuing.subject(user.id, client)
        if subject != waiting.hint_subject and since:
            raise OAuthError("login_required", "another user than the one of id_token_hint signed in")
        if subject != waiting.hint_subject:
            return True
    if "login" in waiting.prompt and not since:
        return True
    if waiting.max_age is None or since:
        return False
    return waiting.max_age == 0 or session.auth_time < waiting.at - waiting.max_age


def _needs_consent(client: Client, waiting: AuthorizationRequest, grant: Grant | None) -> bool:
    if {"consent", "select_account"} & set(waiting.prompt):
        return True
    return not client.first_party and (grant is None or not set(waiting.scopes) <= set(grant.scopes))


async def _sign_in(
    request: AuthorizeRequest, waiting: AuthorizationRequest, request_id: str | None, *, again: bool
) -> Response:
    request_id, cookies = await _store_request(request, waiting, request_id)
    query = {"next": f"/oauth2/continue?request={request_id}"} | ({"again": "1"} if again else {})
    if waiting.login_hint is not None:
        query["username"] = waiting.login_hint[:MAX_HINT_LENGTH]
    response = see_other(f"/sign-in?{urlencode(query)}")
    response.raw_headers += cookies
    _set_language(request, response, waiting)
    return response


async def _consent_page(
    request: AuthorizeRequest, client: Client, waiting: AuthorizationRequest, request_id: str | None
) -> Response:
    first, (request_id, cookies) = request_id is None, await _store_request(request, waiting, request_id)
    going_on = f"/oauth2/continue?request={request_id}"
    response = see_other(going_on)
    response.raw_headers += cookies
    if first and _set_language(request, response, waiting):  # the page is reloaded in that language
        return response
    pages = request.state["pages"]
    locale = pages.locale_of(request.scope)
    response = await page(
        request,
        "oauth_server/consent.html",
        client=client,
        host=urlsplit(waiting.redirect_uri).hostname or waiting.redirect_uri,
        scopes=[pages.translate(locale, SCOPES[scope]) for scope in waiting.scopes],
        request_id=request_id,
        again=f"/sign-in?{urlencode({'again': '1', 'next': going_on})}",
    )
    response.raw_headers += cookies
    return response


def _set_language(request: AuthorizeRequest, response: Response, waiting: AuthorizationRequest) -> bool:
    """Sets the language that the client requests, unless the user has chosen one. Returns whether it did."""
    if waiting.locale is None or read_cookie(cookie_header(request.scope), LANGUAGE.encode()):
        return False
    remember(response, request.scope, waiting.locale, REQUEST_LIFETIME)
    return True


async def _finish(
    request: AuthorizeRequest, client: Client, waiting: AuthorizationRequest, user: User, session: Session,
    grant: Grant | None, *, after_form: bool,
) -> Response:  # fmt: skip
    provider = request.state["oauth_server"]
    now = provider.clock()
    if waiting.consented or grant is None:
        await audit(request, Event.CONSENT_GIVEN, user=user, detail=f"{client.id}: {' '.join(waiting.scopes)}")
    family_id = new_family_id()
    family = Family(
        id=family_id, user=user.id, client=client.id, scopes=waiting.scopes, asked=waiting.asked,
        session=session.root, sid=sid_of(session.root or family_id), auth_time=session.auth_time, amr=session.amr,
        nonce=waiting.nonce, redirect_uri=waiting.redirect_uri, challenge=waiting.challenge,
        offline="offline_access" in waiting.scopes, created=now,
    )  # fmt: skip
    await provider.backchannel.session_signs_in(session, client)
    await provider.store.use_grant(user.id, client.id, waiting.scopes, grant)
    await provider.store.begin(family)
    return await answer(request, waiting, {"code": provider.issuing.tokens.code(family.id)}, after_form=after_form)


async def _store_request(
    request: AuthorizeRequest, waiting: AuthorizationRequest, request_id: str | None
) -> tuple[str, Headers]:
    """Stores the request. Returns (its id, the headers that bind it to this browser)."""
    store = request.state["oauth_server"].store
    browser = (bound_value(request, request_id) if request_id is not None else None) or new_value()
    bound = replace(waiting, browser=digest(browser))
    if request_id is None:
        request_id = await store.keep_request(bound)
    else:
        await store.update_request(request_id, bound)
    return request_id, bind(request, request_id, browser)


async def _stored_request(request: AuthorizeRequest, request_id: str) -> tuple[Client, AuthorizationRequest]:
    """(the client, its stored request), if this browser started it. Raises NotFound."""
    issuer_of(request)
    provider, browser = request.state["oauth_server"], bound_value(request, request_id)
    waiting = await provider.store.request(request_id)
    client = await provider.clients.find(waiting.client) if waiting is not None else None
    if waiting is None or client is None or browser is None or waiting.browser != digest(browser):
        raise NotFound(GONE)
    return client, waiting


routes = [
    PolicyRoute("/oauth2/authorize", authorize, methods=["GET"], policy=BROWSERS, head=False),
    PolicyRoute("/oauth2/authorize", form_as_query, methods=["POST"], policy=BROWSERS),
    PolicyRoute("/oauth2/continue", go_on, methods=["GET"], policy=IN_POPUP, head=False),
    PolicyRoute("/oauth2/consent", decide, methods=["POST"], policy=IN_POPUP),
]
