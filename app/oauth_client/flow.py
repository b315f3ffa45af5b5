"""The authorization code flow, the same for all providers."""

from collections.abc import Mapping
from dataclasses import replace

import structlog
from starlette.requests import Request

from app.accounts.helpers import address_of, flash_message, raise_if_limited
from app.accounts.models import User
from app.accounts.secret import digest, looks_like_secret
from app.oauth_client import provisioning
from app.oauth_client.auth_requests import MAX_NEXT_IN_COOKIE, Outcome
from app.oauth_client.errors import (
    BadCallback,
    BadProviderResponse,
    Denied,
    OAuthProblem,
    ProviderUnavailable,
    StaleSignIn,
)
from app.oauth_client.lifespan import OAuthState
from app.oauth_client.models import AuthRequest
from app.oauth_client.provider import ClientInfo, Provider
from app.oauth_client.token_response import quotable
from app.sessions.session import Session
from app.store.rate_limit import address_key
from app.web.errors import NotFound, Problem
from app.web.headers import RawHeaders, headers_of
from app.web.i18n import N_
from app.web.redirects import safe_path

MAX_PARAMETER_LENGTH = 4096
"""Characters of a callback parameter."""
PROVIDER_UNAVAILABLE_CODES = frozenset({"server_error", "temporarily_unavailable"})


def provider_of(request: Request[OAuthState]) -> Provider:
    """The provider that the path names. Raises NotFound."""
    provider = request.state["providers"].get(request.path_params["provider"])
    if provider is None:
        raise NotFound
    return provider


async def start(
    request: Request[OAuthState],
    target: str | None,
    *,
    invitation: str = "",
    user: User | None = None,
    brief: bool = False,
) -> tuple[str, RawHeaders]:
    """(the authorization URL, the headers that bind the request to the browser). Raises OAuthProblem, TooMany,
    StoreUnavailable.

    With a `user` the request links an identity.
    """
    provider, attempts = provider_of(request), request.state["auth_requests"]
    auth_request = AuthRequest(
        provider=provider.name,
        next=safe_path(target),
        at=int(attempts.now()),
        user=user.id if user is not None else "",
        invitation=invitation if looks_like_secret(invitation) else "",  # the cookie has little room
        again=user is None and await request.state["current_user"].get(request.scope) is not None,
        brief=brief,
    )
    if len(auth_request.next) > MAX_NEXT_IN_COOKIE:  # Redis keeps it
        raise_if_limited(await request.state["limits"].provider_sign_in(address_of(request)))
    try:
        url = await provider.authorization_url(auth_request, client_info(request, provider))
    except OAuthProblem as problem:
        log_failure(request, provider, problem)
        raise
    return url, await attempts.begin(request.scope, auth_request)


async def finish(request: Request[OAuthState]) -> tuple[str, RawHeaders]:
    """Handles the callback. Returns the path to go on to, or the provider's URL where it has to ask the user again, and
    headers. Raises any Problem, StoreUnavailable.
    """
    provider = provider_of(request)
    try:
        return await _finish(request, provider, _parameters(request))
    except OAuthProblem as problem:
        log_failure(request, provider, problem)
        raise


async def _finish(
    request: Request[OAuthState], provider: Provider, answer: Mapping[str, str]
) -> tuple[str, RawHeaders]:
    attempts, state = request.state["auth_requests"], answer.get("state", "")
    auth_request = await attempts.find(request.scope, state)
    if auth_request is None:
        return await _callback_without_cookie(request, state), []
    if auth_request.provider != provider.name:
        raise BadCallback(f"the authorization request is for {auth_request.provider}")
    await provider.check_answer(answer)
    raise_if_limited(await request.state["limits"].provider_sign_in(address_of(request)))
    if not await attempts.take(state):
        return await _duplicate_callback(request, auth_request), []
    outcome = Outcome()
    try:
        session = await _complete(request, provider, auth_request, answer)
        outcome = Outcome(session.user, session.key, auth_request.next, _browser_digest(request))
    except StaleSignIn:
        if auth_request.login:
            raise
        return await _restart_with_login(request, provider, auth_request)
    finally:
        await attempts.finish(state, outcome)
    return auth_request.next, []


async def _restart_with_login(
    request: Request[OAuthState], provider: Provider, auth_request: AuthRequest
) -> tuple[str, RawHeaders]:
    """A second authorization request, of a provider that has ignored `max_age`: with `prompt=login`."""
    attempts = request.state["auth_requests"]
    second = AuthRequest(provider.name, auth_request.next, int(attempts.now()), again=True, login=True)
    url = await provider.authorization_url(second, client_info(request, provider))
    return url, await attempts.begin(request.scope, second)


async def _complete(
    request: Request[OAuthState], provider: Provider, auth_request: AuthRequest, answer: Mapping[str, str]
) -> Session:
    """Signs in; returns the new session."""
    _raise_for_error(answer, provider.code_of(answer))
    answer = {**answer, "code": provider.code_of(answer)}
    if auth_request.user:
        return await _link(request, provider, auth_request, answer)
    profile = await provider.identify(auth_request, answer, client_info(request, provider))
    session = await provisioning.sign_in(request, provider, profile, auth_request)
    if auth_request.again and not profile.auth_time:
        await flash_message(request, N_("This provider cannot confirm that it is you. Use another way."))
    return session


async def _link(
    request: Request[OAuthState], provider: Provider, auth_request: AuthRequest, answer: Mapping[str, str]
) -> Session:
    """Links an identity; returns the present session."""
    user = await request.state["current_user"].get(request.scope)
    session = await request.state["sessions"].open(request.scope)
    if user is None or session is None or user.id != auth_request.user:
        raise BadCallback("the user who started linking is not signed in any more")
    profile = await provider.identify(auth_request, answer, client_info(request, provider))
    await provisioning.link(request, provider, profile, user)
    return session


async def _duplicate_callback(request: Request[OAuthState], auth_request: AuthRequest) -> str:
    """A duplicate callback: the browser gave up waiting for the first one, or its response was lost.

    The browser still has the request's cookie, which that response would have deleted.
    """
    outcome = await request.state["auth_requests"].outcome(auth_request.state)
    if outcome is None or not outcome.user:
        raise BadCallback("the authorization request is finished already")
    user = await request.state["current_user"].get(request.scope)
    if user is None and not auth_request.user and outcome.browser == _browser_digest(request):
        user = await request.state["accounts"].by_id(outcome.user)
        if user is not None and not user.disabled:
            return await _replace_session(request, auth_request, user)
    if user is None or user.id != outcome.user:
        raise BadCallback("the authorization request is finished already, for another user")
    return outcome.next


async def _replace_session(request: Request[OAuthState], auth_request: AuthRequest, user: User) -> str:
    """Duplicate callback: replaces the first session, whose response the browser never read."""
    attempts = request.state["auth_requests"]
    outcome = await attempts.take_again(auth_request.state)
    if outcome is None:
        raise BadCallback("the authorization request was repeated too often")
    try:
        session = await provisioning.sign_in_again(request, user, auth_request.provider, outcome.session)
        outcome = replace(outcome, session=session.key)
    finally:
        await attempts.finish(auth_request.state, outcome)
    return outcome.next


async def _callback_without_cookie(request: Request[OAuthState], state: str) -> str:
    """A callback without its cookie: continues if the request is finished and the browser has its session."""
    user = await request.state["current_user"].get(request.scope)
    outcome = await request.state["auth_requests"].outcome(state) if user is not None and state else None
    if user is None or outcome is None or outcome.user != user.id:
        raise BadCallback("this browser has started no such authorization request")
    return outcome.next


def _parameters(request: Request[OAuthState]) -> dict[str, str]:
    """The callback's parameters; a repeated one is refused (RFC 6749, 3.1)."""
    pairs = request.query_params.multi_items()
    answer = dict(pairs)
    if len(answer) != len(pairs) or any(len(value) > MAX_PARAMETER_LENGTH for value in answer.values()):
        raise BadCallback("a parameter comes twice, or is too long")
    return answer


def _raise_for_error(answer: Mapping[str, str], code: str) -> None:
    """Raises the error of a callback without a code."""
    error = answer.get("error", "")
    why = f"the provider answers {quotable(error)[:64]!r}"
    said = quotable(answer.get("error_description", ""), code, answer.get("state", ""))
    match error:
        case "":
            if not code:
                raise BadCallback("the callback has no code")
        case "access_denied":
            raise Denied(why, said=said)
        case _ if error in PROVIDER_UNAVAILABLE_CODES:
            raise ProviderUnavailable(why, said=said)
        case _:
            raise BadProviderResponse(why, said=said or quotable(error)[:64])


def _browser_digest(request: Request[OAuthState]) -> str:
    user_agent = headers_of(request.scope).get(b"user-agent", b"").decode("latin-1")
    return digest(f"{address_key(address_of(request))} {user_agent}")


def client_info(request: Request[OAuthState], provider: Provider) -> ClientInfo:
    return ClientInfo(
        redirect_uri=f"{str(request.base_url).rstrip('/')}/oauth/{provider.name}/callback",
        user_agent=headers_of(request.scope).get(b"user-agent", b"").decode("latin-1"),
    )


def log_failure(request: Request[OAuthState], provider: Provider, problem: Problem) -> None:
    why = problem.why if isinstance(problem, OAuthProblem) else ""
    structlog.get_logger("app").warning(
        "sign-in at the provider failed",
        provider=provider.name,
        why=why,
        status=problem.status,
        request_id=request.scope["state"]["request_id"],
    )
