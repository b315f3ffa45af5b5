"""Handlers of the OAuth sign-in: start, callback, back-channel logout, linked identities."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import fresh_sign_in_required, sign_in_required
from app.accounts.helpers import (
    audit,
    flash_message,
    in_the_language_of,
    redirect_page,
    redirect_with_message,
    see_other,
    translated,
)
from app.accounts.lifespan import S
from app.accounts.models import User
from app.accounts.pages import account, second_step, sign_in
from app.accounts.pages.landing import landing
from app.accounts.sign_in.authentication import NeedsSecondFactor
from app.accounts.users.identities import LastWayIn
from app.audit.log import Event
from app.oauth_client import flow
from app.oauth_client.errors import BadCallback, Denied, OAuthProblem
from app.oauth_client.lifespan import OAuthState
from app.oauth_client.provider import Issuers
from app.web.body import form_fields, form_of
from app.web.errors import Conflict, MethodNotAllowed, NotFound, Problem
from app.web.headers import RawHeaders
from app.web.i18n import N_
from app.web.negotiate import prefers_json
from app.web.policy import IN_POPUP, PolicyRoute, RoutePolicy
from app.web.redirects import safe_path
from app.web.responses import json_response

CALLBACK_FIELDS = frozenset({"code", "state", "iss", "error", "error_description", "user"})
"""`user` is Apple's."""
UNLINK = Question(
    N_("Unlink %(name)s?"),
    N_("It no longer signs you in, and other sessions that it began are ended."),
    N_("Unlink"),
)
FORM_CALLBACK = RoutePolicy(cross_site=True, in_popup=True)
PROVIDER_SAYS = N_("The provider says:")


async def start(request: Request[OAuthState]) -> Response:
    """`GET /oauth/{provider}/start?next=&invitation=&stay=`: redirects to the provider; JSON with the URL for a front
    end. With `stay=off` the session ends with the browser.
    """
    target = request.query_params.get("next")
    invitation = request.query_params.get("invitation", "")
    brief = request.query_params.get("stay") == "off"
    try:
        url, cookies = await flow.start(request, target, invitation=invitation, brief=brief)
    except OAuthProblem as problem:
        return await _failed(request, problem, target)
    response = json_response({"url": url}) if prefers_json(request.scope) else see_other(url)
    return _with(response, cookies)


async def callback(request: Request[OAuthState]) -> Response:
    """`GET /oauth/{provider}/callback`: the redirect URI; responds with JSON to a front end."""
    state = request.query_params.get("state", "")
    forget = request.state["auth_requests"].forget(request.scope, state)
    try:
        target, cookies = await flow.finish(request)
    except (Conflict, OAuthProblem) as problem:
        return _with(await _failed(request, problem, await _target(request, state)), forget)
    except NeedsSecondFactor as needed:
        return _with(await _second_step(request, needed, safe_path(await _target(request, state))), forget)
    enrolling = await request.state["current_user"].enrolling(request.scope)
    if enrolling is not None:
        target = await landing(request, enrolling, target)
    response = json_response({"next": target}) if prefers_json(request.scope) else see_other(target)
    user = await request.state["current_user"].get(request.scope)
    if user is not None:
        in_the_language_of(user, response, request.scope)
    return _with(response, forget + cookies)


async def form_callback(request: Request[OAuthState]) -> Response:
    """`POST /oauth/{provider}/callback`: `response_mode=form_post`. The form comes from the provider's site, so without
    our cookies (SameSite=Lax): the browser goes on to the callback by GET, with them.
    """
    provider = flow.provider_of(request)
    if not provider.form_post:
        raise MethodNotAllowed("GET")
    form = (await form_of(request)).multi_items()
    pairs = [(name, value) for name, value in form if name in CALLBACK_FIELDS and isinstance(value, str)]
    return see_other(f"/oauth/{provider.name}/callback?{urlencode(pairs)}")


@fresh_sign_in_required
async def link(request: Request[OAuthState], user: User) -> Response:
    """`POST /account/identities/{provider}`: redirects to the provider by a page (CSP forbids it after a form)."""
    try:
        url, cookies = await flow.start(request, "/account", user=user)
    except OAuthProblem as problem:
        return await _failed(request, problem, None)
    if prefers_json(request.scope):
        return _with(json_response({"url": url}), cookies)
    return _with(await redirect_page(request, url), cookies)


@sign_in_required
async def ask_to_unlink(request: Request[OAuthState], user: User) -> Response:
    identities = await request.state["identities"].of_user(user.id)
    identity = named_in_query(request, identities, lambda identity: identity.id)
    name = f"{identity.provider} {identity.name}".strip()
    return await ask(request, UNLINK, back="/account", name=name, fields={"id": identity.id})


@fresh_sign_in_required
async def unlink(request: Request[OAuthState], user: User) -> Response:
    """`POST /account/identities/unlink` with the identity's `id`: unlinks it and ends the sessions begun with it."""
    fields, state = await form_fields(request, "id"), request.state
    own = await state["sessions"].open(request.scope)
    issuers = Issuers(state["providers"].values())
    try:
        unlinked = await state["identities"].unlink(user.id, fields["id"], issuers)
    except LastWayIn:
        only = Conflict(N_("This is your only way to sign in. Set a password first."))
        return await _failed(request, only, None)
    # Also if it was not linked: after a lost reply the user repeats the request.
    ended = await state["provider_sessions"].end_others(
        state["sessions"], user.id, fields["id"], own.key if own is not None else ""
    )
    if not unlinked and not ended:
        raise NotFound
    await audit(request, Event.IDENTITY_UNLINKED, user=user)
    if ended:
        await audit(request, Event.SESSION_ENDED, user=user, detail=f"{ended} others")
        await flash_message(
            request, N_("The account has been unlinked, and other sessions that used it have been ended.")
        )
    else:
        await flash_message(request, N_("The account has been unlinked."))
    return see_other("/account")


async def back_channel_logout(request: Request[OAuthState]) -> Response:
    """`POST /oauth/{provider}/logout` with `logout_token`: back-channel logout (OpenID Connect)."""
    provider, state = flow.provider_of(request), request.state
    tokens = (await form_of(request)).getlist("logout_token")
    try:
        if len(tokens) != 1 or not isinstance(tokens[0], str):
            raise BadCallback("there is not one logout_token")
        ended = await provider.logged_out(tokens[0])
        user, count = await state["provider_sessions"].end(state["sessions"], state["identities"], ended)
    except OAuthProblem as problem:
        flow.log_failure(request, provider, problem)
        return json_response({"error": "invalid_request"}, problem.status)
    if count:
        await audit(request, Event.SESSION_ENDED, user=user, detail=provider.name)
    return json_response({})


async def _target(request: Request[OAuthState], state: str) -> str | None:
    auth_request = await request.state["auth_requests"].find(request.scope, state)
    return auth_request.next if auth_request is not None else None


async def _second_step(request: Request[OAuthState], needed: NeedsSecondFactor, target: str) -> Response:
    response = await second_step.begin_second_step(request, needed.pending, target)
    if not prefers_json(request.scope):
        return response
    cookies = [header for header in response.raw_headers if header[0] == b"set-cookie"]
    return _with(json_response({"next": response.headers["location"]}), cookies)


async def _failed(request: Request[S], problem: Problem, target: str | None) -> Response:
    """The page where the request began, with the error and the request id of its log line."""
    if prefers_json(request.scope):
        raise problem
    if isinstance(problem, Denied) and not problem.said:  # the user's own choice, usually: nothing went wrong
        return await _denied(request, problem, target)
    about = {"status_code": problem.status, "reference": request.scope["state"]["request_id"]}
    error = _sentences(request, problem)
    user = await request.state["current_user"].get(request.scope)
    if user is not None:
        return await account.account_page(request, user, error, **about)
    return await sign_in.sign_in_page(request, safe_path(target), error=error, **about)


async def _denied(request: Request[S], problem: Denied, target: str | None) -> Response:
    if await request.state["current_user"].get(request.scope) is None:
        return await sign_in.sign_in_page(request, safe_path(target), notice=translated(request, problem.detail or ""))
    return await redirect_with_message(request, "/account", problem.detail or "")


def _sentences(request: Request[S], problem: Problem) -> str:
    """The error in the reader's language, and what the provider said."""
    error = translated(request, problem.detail or problem.title)
    if isinstance(problem, OAuthProblem) and problem.said:
        error = f"{error} {translated(request, PROVIDER_SAYS)} {problem.said}"
    return error


def _with(response: Response, headers: RawHeaders) -> Response:
    response.raw_headers += headers
    return response


routes = [
    PolicyRoute("/oauth/{provider}/start", start, methods=["GET"], policy=IN_POPUP, head=False),
    PolicyRoute("/oauth/{provider}/callback", callback, methods=["GET"], policy=IN_POPUP, head=False),
    PolicyRoute("/oauth/{provider}/callback", form_callback, methods=["POST"], policy=FORM_CALLBACK),
    Route("/oauth/{provider}/logout", back_channel_logout, methods=["POST"]),
    Route("/account/identities/unlink", ask_to_unlink, methods=["GET"]),
    Route("/account/identities/unlink", unlink, methods=["POST"]),
    Route("/account/identities/{provider}", link, methods=["POST"]),
]
