"""The rules of access. The first rule that matches decides; a request that no rule matches is refused. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from app.accounts.users.names import compare_key
from app.gateway.readings import readings
from app.web.i18n import N_

Networks = tuple[IPv4Network | IPv6Network, ...]
MAX_CACHED_HOSTS = 1000
"""Hosts whose rules are cached: clients choose the names."""


class Effect(IntEnum):
    """What a rule does with a request, from the mildest to the strictest."""

    ALLOW = 0
    SIGN_IN_AGAIN = 1
    SIGN_IN = 2
    REFUSE = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A client, as rules see it. `name` is None without a sign-in; `signed_in_at` is None for an API token."""

    name: str | None = None
    email: str = ""
    groups: frozenset[str] = frozenset()
    signed_in_at: float | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host name, or with `below` every name below it. `port` None stands for every port."""

    name: str
    below: bool = False
    port: int | None = None

    def matches(self, host: str, port: int | None) -> bool:
        if self.port is not None and self.port != port:
            return False
        return host.endswith(f".{self.name}") if self.below else host == self.name

    def covers(self, other: "HostPattern") -> bool:
        """Whether it matches every host that the other matches."""
        if self.port not in (None, other.port):
            return False
        if not self.below:
            return not other.below and self.name == other.name
        return other.name.endswith(f".{self.name}") or (other.below and other.name == self.name)

    def __str__(self) -> str:
        return f"{'*.' if self.below else ''}{self.name}{'' if self.port is None else f':{self.port}'}"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A decoded path: alone if `exact`, else with everything below it. `/a/` has no `/a`."""

    path: bytes
    exact: bool = False

    def matches(self, reading: bytes) -> bool:
        if reading == self.path:
            return True
        if self.exact or not reading.startswith(self.path):
            return False
        return self.path.endswith(b"/") or reading[len(self.path)] == 0x2F

    def folded(self) -> "PathPattern":
        """Without regard to case, for a path in lower case."""
        return PathPattern(self.path.lower(), self.exact)

    def covers(self, other: "PathPattern") -> bool:
        return self == other or (not self.exact and self.matches(other.path))

    def __str__(self) -> str:
        return ("=" if self.exact else "") + self.path.decode()


EVERY_PATH = (PathPattern(b"/"),)


class Reason(NamedTuple):
    """Why a subject may pass: an English sentence with `%(value)s`, and the value."""

    sentence: str
    value: str = ""

    def __str__(self) -> str:
        return self.sentence % {"value": self.value}


EVERYBODY = Reason(N_("everybody may"))
SIGNED_IN = Reason(N_("every signed-in user may"))
ADDRESS = N_("the address %(value)s is in one of the rule's networks")
USER = N_("the user %(value)s is named")
GROUP = N_("the user is in the group %(value)s")
DOMAIN = N_("the e-mail address is of %(value)s")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allowed clients: everybody, all signed-in users, or those that any of the lists names."""

    everybody: bool = False
    signed_in: bool = False
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    networks: Networks = ()

    def reason(self, subject: Subject) -> Reason | None:
        """Why the subject may pass; None if not."""
        if self.everybody:
            return EVERYBODY
        if self.networks and subject.address is not None and _is_within(subject.address, self.networks):
            return Reason(ADDRESS, subject.address)
        if subject.name is None:
            return None
        if self.signed_in:
            return SIGNED_IN
        if compare_key(subject.name) in self.users:
            return Reason(USER, subject.name)
        if common := self.groups & subject.groups:
            return Reason(GROUP, min(common))
        if self.domains and domain_of(subject.email) in self.domains:
            return Reason(DOMAIN, domain_of(subject.email))
        return None

    @property
    def by_user(self) -> bool:
        """Whether signing in could help."""
        return self.signed_in or bool(self.users or self.groups or self.domains)


@dataclass(frozen=True, slots=True)
class Rule:
    """`methods` None stands for all; `within` is in seconds."""

    hosts: tuple[HostPattern, ...]
    allow: Allowed
    paths: tuple[PathPattern, ...] = EVERY_PATH
    methods: frozenset[str] | None = None
    within: int | None = None

    def matches(self, method: str, reading: bytes) -> bool:
        """Whether the rule is for this request; its host has been compared already."""
        if self.methods is not None and method not in self.methods:
            return False
        return self.paths is EVERY_PATH or any(path.matches(reading) for path in self.paths)

    def folded(self) -> "Rule":
        """The rule without regard to the case of its paths."""
        return self if self.paths is EVERY_PATH else replace(self, paths=tuple(path.folded() for path in self.paths))

    def effect(self, subject: Subject, now: float) -> Effect:
        if self.allow.reason(subject) is None:
            return Effect.SIGN_IN if subject.name is None and self.allow.by_user else Effect.REFUSE
        if self.within is None:
            return Effect.ALLOW
        if subject.name is None:
            return Effect.SIGN_IN
        is_recent = subject.signed_in_at is not None and now - subject.signed_in_at <= self.within
        return Effect.ALLOW if is_recent else Effect.SIGN_IN_AGAIN

    def covers(self, other: "Rule") -> bool:
        """Whether it matches every request that the other matches."""
        if self.methods is not None and (other.methods is None or not other.methods <= self.methods):
            return False
        return all(any(mine.covers(host) for mine in self.hosts) for host in other.hosts) and all(
            any(mine.covers(path) for mine in self.paths) for path in other.paths
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` is the number of the deciding rule, from 1; 0 if none matched. `reading` is the path in which it did."""

    effect: Effect
    rule: int = 0
    within: int | None = None
    reading: bytes = b""


NumberedRule = tuple[int, Rule]


class HostRules(NamedTuple):
    """The rules of a host, with their numbers; and without regard to the case of paths, the same object if equal."""

    rules: tuple[NumberedRule, ...]
    folded: tuple[NumberedRule, ...]


@dataclass(frozen=True)
class Rules:
    """All rules, in their order."""

    rules: Sequence[Rule]
    _by_host: dict[tuple[str, int | None], HostRules] = field(default_factory=dict)

    def of_host(self, host: str, port: int | None) -> tuple[NumberedRule, ...]:
        """The rules of a host, with their numbers; empty if no rule names it."""
        return self._of_host(host, port).rules

    def _of_host(self, host: str, port: int | None) -> HostRules:
        found = self._by_host.get((host, port))
        if found is None:
            rules = tuple(
                (number, rule)
                for number, rule in enumerate(self.rules, 1)
                if any(pattern.matches(host, port) for pattern in rule.hosts)
            )
            folded = tuple((number, rule.folded()) for number, rule in rules)
            found = HostRules(rules, rules if folded == rules else folded)
            if len(self._by_host) >= MAX_CACHED_HOSTS:
                self._by_host.clear()
            self._by_host[host, port] = found
        return found

    def decide(self, host: str, port: int | None, method: str, path: bytes, subject: Subject, now: float) -> Decision:
        """The strictest effect over all readings of the path, with their case and without it: many applications ignore
        the case of a path (Express does). Raises BadPath.
        """
        rules, folded = self._of_host(host, port)
        decisions = []
        for reading in readings(path):
            decisions.append(first_match(rules, method, reading, subject, now))
            lower = reading.lower()
            if lower != reading or folded is not rules:
                decisions.append(first_match(folded, method, lower, subject, now))
        return max(decisions, key=lambda decision: (decision.effect, decision.rule, decision.reading))

    def unreachable(self) -> list[tuple[int, int]]:
        """(a rule that never decides, the earlier rule that matches all its requests)."""
        found = []
        for number, rule in enumerate(self.rules, 1):
            for earlier, other in enumerate(self.rules[: number - 1], 1):
                if other.covers(rule):
                    found.append((number, earlier))
                    break
        return found

    @cached_property
    def has_networks(self) -> bool:
        return any(rule.allow.networks for rule in self.rules)

    @property
    def groups(self) -> frozenset[str]:
        return frozenset().union(*(rule.allow.groups for rule in self.rules))


def first_match(rules: Iterable[NumberedRule], method: str, reading: bytes, subject: Subject, now: float) -> Decision:
    for number, rule in rules:
        if rule.matches(method, reading):
            return Decision(rule.effect(subject, now), number, rule.within, reading)
    return Decision(Effect.REFUSE, reading=reading)


def domain_of(email: str) -> str:
    """The domain of an e-mail address in lower case; empty unless it has exactly one @ (CVE-2026-40574)."""
    name, at, domain = email.rpartition("@")
    return domain.lower().removesuffix(".") if name and at and "@" not in name else ""


@lru_cache(maxsize=4096)
def _is_within(text: str, networks: Networks) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
