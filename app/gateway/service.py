"""Decides about original requests, and caches decisions."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from starlette.types import Scope

from app.gateway.callers import Caller, Callers, signed_in_at
from app.gateway.identity_cache import CachedIdentity, IdentityCache
from app.gateway.original_request import OriginalRequest
from app.gateway.rules import Decision, Effect, Rules, Subject
from app.gateway.store import GatewayStore
from app.store.tracking import Pin
from app.web.cookies import cookie_header
from app.web.fast_path import StaticHeaders
from app.web.headers import headers_of
from app.web.proxies import FORWARDED_CLIENT

ANONYMOUS = Subject()
RequestKey = tuple[object, ...]
MAX_CACHED_REQUESTS, MAX_CACHED_BYTES = 10_000, 4096
"""Requests whose verdicts a worker caches, and the longest in bytes: clients choose both."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and the headers of the response that allows the request, until `renew_at` (Unix seconds)."""

    decision: Decision
    head: StaticHeaders
    caller: Caller | None
    renew_at: float


class CachedPass(NamedTuple):
    """The headers of the response that allows a request, until `expires` (Unix seconds) or a pin changes. `name` is its
    name in the counts.
    """

    head: StaticHeaders
    name: str
    pins: tuple[Pin, ...]
    expires: float


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
    _passes: dict[RequestKey, CachedPass] = field(default_factory=dict, init=False)

    def address_of(self, scope: Scope) -> str | None:
        """The client's address if a rule needs it; None if only the proxy's own address is known."""
        return scope["client"][0] if self.rules.has_networks and FORWARDED_CLIENT in scope else None

    def cached_pass(self, key: RequestKey | None) -> StaticHeaders | None:
        """The headers of the response that allowed this request, if it is still allowed; counts it."""
        known = self._passes.get(key) if key is not None else None
        if known is None or self.clock() >= known.expires:
            return None
        for current, name, value in known.pins:
            if current(name) is not value:
                return None
        self.counts[known.name] += 1
        return known.head

    def cache_pass(self, key: RequestKey, verdict: Verdict) -> None:
        """Caches a verdict that allows the request."""
        caller, decision, expires = verdict.caller, verdict.decision, verdict.renew_at
        pins: tuple[Pin, ...] = ()
        if caller is not None:
            pins, until = self.callers.pins(caller)
            expires = min(expires, until)
            if decision.within is not None and caller.session is not None:
                expires = min(expires, signed_in_at(caller.session) + decision.within)
        size = sum(len(part) for part in key if isinstance(part, str | bytes))
        if size > MAX_CACHED_BYTES or expires <= self.clock():  # a token's verdict never holds: its own cache is enough
            return
        if len(self._passes) >= MAX_CACHED_REQUESTS:
            self._passes.clear()
        self._passes[key] = CachedPass(verdict.head, self._name(decision), pins, expires)

    def judge_fast(self, scope: Scope, original: OriginalRequest) -> Verdict | None:
        """The verdict if it does not need Redis; None otherwise. Raises BadPath."""
        headers = headers_of(scope)
        cookies = headers.get(b"cookie", b"") if len(headers) == len(scope["headers"]) else cookie_header(scope)
        caller = self.callers.cached(scope, headers, cookies, original.host, original.method)
        if caller is None:
            is_anonymous = self.callers.is_anonymous(scope, headers, cookies)
            return self._verdict(scope, original, None, None) if is_anonymous else None
        known = self.identities.get(caller, original.host)
        return None if known is None else self._verdict(scope, original, caller, known)

    async def judge(self, scope: Scope, original: OriginalRequest) -> Verdict:
        """Raises BadPath, BadCredentials, OutOfScope, StoreUnavailable."""
        caller = await self.callers.find(scope, headers_of(scope), original.host, original.method)
        known = await self.identities.find(caller, original.host) if caller is not None else None
        return self._verdict(scope, original, caller, known)

    def count(self, decision: Decision) -> None:
        if decision.rule:
            self.counts[self._name(decision)] += 1

    def _name(self, decision: Decision) -> str:
        kind = Effect.SIGN_IN if decision.effect == Effect.SIGN_IN_AGAIN else decision.effect
        return f"{self.fingerprints[decision.rule - 1]}:{kind.name.lower()}"

    def _verdict(
        self, scope: Scope, original: OriginalRequest, caller: Caller | None, known: CachedIdentity | None
    ) -> Verdict:
        subject, head = (ANONYMOUS, self.identities.anonymous) if known is None else (known.subject, known.head)
        address = self.address_of(scope)
        if address is not None:
            subject = replace(subject, address=address)
        decision = self.rules.decide(
            original.host, original.port, original.method, original.path, subject, self.clock()
        )
        return Verdict(decision, head, caller, inf if known is None else known.renew_at)
