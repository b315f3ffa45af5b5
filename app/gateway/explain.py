"""Explains a decision: the rule, and the reason. Pure."""

from dataclasses import dataclass
from ipaddress import ip_address

from app.gateway.original_request import OriginalRequest, from_auth_request
from app.gateway.rules import Decision, Effect, Reason, Rules, Subject
from app.web.i18n import N_

EFFECTS = {
    Effect.ALLOW: N_("allowed"),
    Effect.SIGN_IN_AGAIN: N_("sent to sign in again"),
    Effect.SIGN_IN: N_("sent to sign in"),
    Effect.REFUSE: N_("refused"),
}
NOT_ALLOWED = N_("the rule does not allow this visitor")
NOT_SIGNED_IN = N_("no user is signed in, and the rule requires one")
TOO_LONG_AGO = N_("the visitor signed in more than %(value)s seconds ago")
NO_RULE = N_("no rule matches this request")
NO_HOST = N_("no rule names the host %(value)s")


@dataclass(frozen=True, slots=True)
class Explanation:
    """`skipped` has the numbers of the host's rules before the deciding one, which do not match the request."""

    original: OriginalRequest
    decision: Decision
    reason: Reason
    skipped: tuple[int, ...]

    @property
    def effect(self) -> str:
        return EFFECTS[self.decision.effect]


def explain(rules: Rules, url: str, method: str, subject: Subject, now: float) -> Explanation:
    """Raises BadOriginalRequest, BadPath."""
    fields = ((b"x-original-url", url), (b"x-original-method", method))
    original = from_auth_request([(name, text.encode("utf-8", "replace")) for name, text in fields])
    decision = rules.decide(original.host, original.port, method, original.path, subject, now)
    named = [number for number, _ in rules.of_host(original.host, original.port)]
    skipped = tuple(number for number in named if number < decision.rule or not decision.rule)
    return Explanation(original, decision, _reason(rules, original, decision, subject), skipped)


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _reason(rules: Rules, original: OriginalRequest, decision: Decision, subject: Subject) -> Reason:
    if not decision.rule:
        return Reason(NO_RULE) if rules.of_host(original.host, original.port) else Reason(NO_HOST, original.host)
    match decision.effect:
        case Effect.ALLOW:
            return rules.rules[decision.rule - 1].allow.reason(subject) or Reason(NOT_ALLOWED)
        case Effect.SIGN_IN_AGAIN:
            return Reason(TOO_LONG_AGO, str(decision.within))
        case Effect.SIGN_IN:
            return Reason(NOT_SIGNED_IN)
        case _:
            return Reason(NOT_ALLOWED)
