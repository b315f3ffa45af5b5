"""The page of the rules for administrators: their counts, and the rule that decides about a given request."""

from collections import Counter
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required
from app.accounts.helpers import page
from app.accounts.models import User
from app.gateway.explain import Explanation, explain, is_address
from app.gateway.lifespan import GatewayState
from app.gateway.original_request import BadOriginalRequest
from app.gateway.readings import BadPath
from app.gateway.rules import Effect, Rule, Subject
from app.web.errors import BadRequest
from app.web.i18n import N_


@dataclass(frozen=True, slots=True)
class CountedRule:
    number: int
    rule: Rule
    allowed: int
    sign_in: int
    refused: int


@admin_required
async def rules(request: Request[GatewayState], admin: User) -> Response:
    """`GET /admin/gateway?url=&user=&method=&from=`: the rules, and an explanation if `url` is there."""
    asked = {name: request.query_params.get(name, "").strip() for name in ("url", "user", "method", "from")}
    asked["method"] = asked["method"] or "GET"
    error: str | None = None
    explanation, subject = None, Subject()
    if asked["url"]:
        try:
            subject = await _subject(request, asked)
            explanation = _explained(request, asked, subject)
        except BadRequest as problem:
            error = problem.detail
    counted = await _counted(request)
    groups = sorted(subject.groups)
    return await page(
        request, "gateway/rules.html", error=error, rules=counted, asked=asked, found=explanation, groups=groups
    )


async def _subject(request: Request[GatewayState], asked: dict[str, str]) -> Subject:
    """The subject of the form: signed in just now, with the groups of all sessions. Raises BadRequest."""
    gateway, name, address = request.state["gateway"], asked["user"], asked["from"]
    if address and not is_address(address):
        raise BadRequest(N_("The client's address must be an IP address."), field="from")
    if not name:
        return Subject(address=address or None)
    user = await request.state["accounts"].by_name(name)
    if user is None or user.disabled:
        raise BadRequest(N_("No user has that name."), field="user")
    sessions = await request.state["sessions"].of_user(user.id)
    groups = frozenset(user.groups).union(*(session.groups for session in sessions))
    return Subject(user.name, user.email if user.email_verified else "", groups, gateway.clock(), address or None)


def _explained(request: Request[GatewayState], asked: dict[str, str], subject: Subject) -> Explanation:
    """Raises BadRequest."""
    gateway = request.state["gateway"]
    try:
        return explain(gateway.rules, asked["url"], asked["method"], subject, gateway.clock())
    except (BadOriginalRequest, BadPath):
        raise BadRequest(
            N_("Such a request gets 400: it needs an absolute http or https URL, and an HTTP method."), field="url"
        ) from None


async def _counted(request: Request[GatewayState]) -> list[CountedRule]:
    """The rules with their counts; those of the last seconds are this worker's alone."""
    gateway = request.state["gateway"]
    counts = Counter(await gateway.store.answers()) + gateway.counts
    return [
        CountedRule(
            number,
            rule,
            *(counts[f"{name}:{effect.name.lower()}"] for effect in (Effect.ALLOW, Effect.SIGN_IN, Effect.REFUSE)),
        )
        for number, (rule, name) in enumerate(zip(gateway.rules.rules, gateway.fingerprints, strict=True), 1)
    ]
