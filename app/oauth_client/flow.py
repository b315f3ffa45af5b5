"""One flow for all providers: out to one of them, and back."""

from collections.abc import Mapping
from dataclasses import replace

import structlog
from starlette.requests import Request

from app.accounts.helpers import address_of, allow
from app.accounts.models import User
from app.accounts.secret import looks_like_secret
from app.oauth_client import provisioning as people
from app.oauth_client.auth_requests import Outcome
from app.oauth_client.errors import BadCallback, Denied, OAuthProblem, ProviderAnswer, ProviderDown
from app.oauth_client.models import Attempt
from app.oauth_client.provider import Provider, Visitor
from app.oauth_client.state import OAuthState
from app.sessions.session import Session
from app.web.errors import NotFound, Problem
from app.web.headers import RawHeaders, headers_of
from app.web.redirects import safe_path

LONGEST = 4096
"""Characters of one of the callback's parameters."""
AWAY = frozenset({"server_error", "temporarily_unavailable"})


def provider_of(request: Request[OAuthState]) -> Provider:
    """The provider that the path names. Raises NotFound."""
    provider = request.state["providers"].get(request.path_params["provider"])
    if provider is None:
        raise NotFound
    return provider


async def start(
    request: Request[OAuthState], target: str | None, *, invitation: str = "", user: User | None = None
) -> tuple[str, RawHeaders]:
    """(where to send the browser, the headers that tie the attempt to it). Raises OAuthProblem, StoreAway.

    With a `user` it is to link an identity.
    """
    provider, attempts = provider_of(request), request.state["attempts"]
    attempt = Attempt(
        provider=provider.name,
        next=safe_path(target),
        at=int(attempts.now()),
        user=user.id if user is not None else "",
        invitation=invitation if looks_like_secret(invitation) else "",  # there is not much room in a cookie
        again=user is None and await request.state["people"].current(request.scope) is not None,
    )
    try:
        url = await provider.authorization_url(attempt, visitor_of(request, provider))
    except OAuthProblem as problem:
        log_failure(request, provider, problem)
        raise
    return url, attempts.begin(request.scope, attempt)


async def finish(request: Request[OAuthState]) -> str:
    """Deals with the callback, and returns the path to go on to. Raises any Problem, StoreAway."""
    provider = provider_of(request)
    try:
        return await _finish(request, provider, _parameters(request))
    except OAuthProblem as problem:
        log_failure(request, provider, problem)
        raise


async def _finish(request: Request[OAuthState], provider: Provider, answer: Mapping[str, str]) -> str:
    attempts, state = request.state["attempts"], answer.get("state", "")
    attempt = attempts.find(request.scope, state)
    if attempt is None:
        return await _late(request, state)
    if attempt.provider != provider.name:
        raise BadCallback(f"the attempt is one with {attempt.provider}")
    await provider.check_answer(answer)
    allow(await request.state["limits"].elsewhere(address_of(request)))
    if not await attempts.take(state):
        return await _again(request, attempt)
    outcome = Outcome()
    try:
        session = await _come_in(request, provider, attempt, answer)
        outcome = Outcome(session.user, session.key, attempt.next)
    finally:
        await attempts.finish(state, outcome)
    return attempt.next


async def _come_in(
    request: Request[OAuthState], provider: Provider, attempt: Attempt, answer: Mapping[str, str]
) -> Session:
    """The session in which somebody is signed in now."""
    _refused(answer)
    if attempt.user:
        return await _link(request, provider, attempt, answer)
    person = await provider.identify(attempt, answer, visitor_of(request, provider))
    return await people.sign_in(request, provider, person, attempt)


async def _link(
    request: Request[OAuthState], provider: Provider, attempt: Attempt, answer: Mapping[str, str]
) -> Session:
    """The session of who is signed in already, and has one identity more now."""
    user = await request.state["people"].current(request.scope)
    session = await request.state["sessions"].open(request.scope)
    if user is None or session is None or user.id != attempt.user:
        raise BadCallback("who wanted to link an identity is not signed in any more")
    person = await provider.identify(attempt, answer, visitor_of(request, provider))
    await people.link(request, provider, person, user)
    return session


async def _again(request: Request[OAuthState], attempt: Attempt) -> str:
    """The same callback once more: while the first is dealt with, because the browser no longer waits for that one."""
    running = await request.state["attempts"].running(attempt.state)
    outcome = await request.state["attempts"].outcome(attempt.state)
    if outcome is None or not outcome.user:
        raise BadCallback("the attempt has come back before")
    user = await request.state["people"].current(request.scope)
    if user is None and running and not attempt.user:
        user = await request.state["accounts"].by_id(outcome.user)
        if user is not None and not user.disabled:
            return await _instead(request, attempt, user)
    if user is None or user.id != outcome.user:
        raise BadCallback("the attempt has come back before, to somebody else")
    return outcome.next


async def _instead(request: Request[OAuthState], attempt: Attempt, user: User) -> str:
    """Signs in by this answer, and no longer by the one before, whose cookie the browser has not waited for."""
    attempts = request.state["attempts"]
    outcome = await attempts.take_again(attempt.state)
    if outcome is None:
        raise BadCallback("the attempt has come back too often")
    try:
        session = await people.sign_in_again(request, user, attempt.provider, outcome.session)
        outcome = replace(outcome, session=session.key)
    finally:
        await attempts.finish(attempt.state, outcome)
    return outcome.next


async def _late(request: Request[OAuthState], state: str) -> str:
    """A callback without its cookie: one that is finished goes on, if it comes from who came in by it."""
    user = await request.state["people"].current(request.scope)
    outcome = await request.state["attempts"].outcome(state) if user is not None and state else None
    if user is None or outcome is None or outcome.user != user.id:
        raise BadCallback("no such attempt was begun in this browser")
    return outcome.next


def _parameters(request: Request[OAuthState]) -> dict[str, str]:
    """The callback's parameters, each once (RFC 6749, 3.1)."""
    pairs = request.query_params.multi_items()
    answer = dict(pairs)
    if len(answer) != len(pairs) or any(len(value) > LONGEST for value in answer.values()):
        raise BadCallback("a parameter comes twice, or is too long")
    return answer


def _refused(answer: Mapping[str, str]) -> None:
    """Raises what an answer without a code means."""
    error = answer.get("error", "")
    why = f"the provider answers {error[:64]!r}"
    match error:
        case "":
            if not answer.get("code"):
                raise BadCallback("the callback has no code")
        case "access_denied":
            raise Denied(why)
        case _ if error in AWAY:
            raise ProviderDown(why)
        case _:
            raise ProviderAnswer(why)


def visitor_of(request: Request[OAuthState], provider: Provider) -> Visitor:
    return Visitor(
        redirect_uri=f"{str(request.base_url).rstrip('/')}/oauth/{provider.name}/callback",
        user_agent=headers_of(request.scope).get(b"user-agent", b"").decode("latin-1"),
    )


def log_failure(request: Request[OAuthState], provider: Provider, problem: Problem) -> None:
    why = problem.why if isinstance(problem, OAuthProblem) else ""
    structlog.get_logger("app").warning(
        "sign-in elsewhere failed",
        provider=provider.name,
        why=why,
        status=problem.status,
        request_id=request.scope["state"]["request_id"],
    )
