"""The gateway itself: decides about original requests."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from starlette.types import Scope

from app.gateway.callers import Caller, Callers
from app.gateway.identity_cache import IdentityCache, KnownIdentity
from app.gateway.original_request import OriginalRequest
from app.gateway.rules import Answer, Decision, Rules, Visitor
from app.gateway.store import GatewayStore
from app.web.cookies import cookie_header
from app.web.fast_path import StaticHeaders
from app.web.headers import headers_of
from app.web.proxies import FORWARDED_CLIENT

ANONYMOUS = Visitor()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and the headers of an answer that lets the request pass."""

    decision: Decision
    head: StaticHeaders
    caller: Caller | None


@dataclass(frozen=True)
class Gateway:
    """`portal` is the origin of this service for browsers; `fingerprints` name the rules in the counts."""

    rules: Rules
    portal: str
    callers: Callers
    identities: IdentityCache
    store: GatewayStore
    clock: Callable[[], float]
    fingerprints: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)

    def judge_fast(self, scope: Scope, original: OriginalRequest) -> Verdict | None:
        """The verdict if nothing has to be asked of Redis; None otherwise. Raises BadPath."""
        headers = headers_of(scope)
        cookies = headers.get(b"cookie", b"") if len(headers) == len(scope["headers"]) else cookie_header(scope)
        caller = self.callers.cached(scope, headers, cookies, original.host)
        if caller is None:
            is_anonymous = self.callers.is_anonymous(scope, headers, cookies)
            return self._verdict(scope, original, None, None) if is_anonymous else None
        known = self.identities.get(caller, original.host)
        return None if known is None else self._verdict(scope, original, caller, known)

    async def judge(self, scope: Scope, original: OriginalRequest) -> Verdict:
        """Raises BadPath, BadCredentials, StoreUnavailable."""
        caller = await self.callers.find(scope, headers_of(scope), original.host)
        known = await self.identities.find(caller, original.host) if caller is not None else None
        return self._verdict(scope, original, caller, known)

    def count(self, decision: Decision) -> None:
        """Counts an answer of a rule."""
        if decision.rule:
            kind = Answer.SIGN_IN if decision.answer == Answer.SIGN_IN_AGAIN else decision.answer
            self.counts[f"{self.fingerprints[decision.rule - 1]}:{kind.name.lower()}"] += 1

    def _verdict(
        self, scope: Scope, original: OriginalRequest, caller: Caller | None, known: KnownIdentity | None
    ) -> Verdict:
        visitor, head = (ANONYMOUS, self.identities.anonymous) if known is None else (known.visitor, known.head)
        # Without an address of the client's, the proxy's own must not pass for one.
        if self.rules.has_networks and FORWARDED_CLIENT in scope:
            visitor = replace(visitor, address=scope["client"][0])
        decision = self.rules.decide(
            original.host, original.port, original.method, original.path, visitor, self.clock()
        )
        return Verdict(decision, head, caller)
