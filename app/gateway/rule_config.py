"""Reads `[[rules]]` of the settings. Every error is one line that names the rule and the key. Pure."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_network
from typing import Any

from app.accounts.users.names import compare_key
from app.gateway.original_request import AUTHORITY, METHOD, split_authority
from app.gateway.readings import AMBIGUOUS, BadPath, decoded
from app.gateway.rules import EVERY_PATH, Allowed, HostPattern, PathPattern, Rule, Rules

KEYS = frozenset({"hosts", "paths", "methods", "allow", "within"})
LISTS = ("users", "groups", "domains", "networks")
MIN_WITHIN, MAX_WITHIN = 60, 365 * 86_400
"""Seconds. Less than a minute could pass while signing in, which would never come to an end."""
MAX_RULES = 10_000
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class BadRule(Exception):
    """A rule is wrong; the text is one line."""


def parse_rules(tables: Sequence[Mapping[str, Any]]) -> Rules:
    """Raises BadRule for the first error."""
    rules, errors = read_rules(tables)
    if errors:
        raise BadRule(errors[0])
    return rules


def read_rules(tables: Sequence[Mapping[str, Any]]) -> tuple[Rules, list[str]]:
    """The good rules and a line for each error."""
    rules, errors = [], []
    if len(tables) > MAX_RULES:
        return Rules(()), [f"rules: there may be {MAX_RULES} at most"]
    for number, table in enumerate(tables, 1):
        try:
            rules.append(_rule(table))
        except BadRule as error:
            errors.append(f"rules: rule {number}: {error}")
    return Rules(tuple(rules)), errors


def unreachable_rules(rules: Rules) -> list[str]:
    return [
        f"rules: rule {number} can never decide: rule {earlier} before it takes all its requests"
        for number, earlier in rules.unreachable()
    ]


def _rule(table: Mapping[str, Any]) -> Rule:
    for key in table:
        if key not in KEYS:
            raise BadRule(f"{key}: there is no such key; there are {', '.join(sorted(KEYS))}")
    for key in ("hosts", "allow"):
        if key not in table:
            raise BadRule(f"{key}: is missing")
    return Rule(
        hosts=tuple(map(_host, _texts("hosts", table["hosts"]))),
        allow=_allowed(table["allow"]),
        paths=tuple(map(_path, _texts("paths", table["paths"]))) if "paths" in table else EVERY_PATH,
        methods=frozenset(map(_method, _texts("methods", table["methods"]))) if "methods" in table else None,
        within=_within(table["within"]) if "within" in table else None,
    )


def _texts(key: str, value: object, *, some: bool = True) -> list[str]:
    if isinstance(value, list | tuple) and all(isinstance(text, str) and text for text in value):
        if value or not some:
            return list(value)
        raise BadRule(f"{key}: must not be empty")
    raise BadRule(f"{key}: must be a list of texts")


def _host(text: str) -> HostPattern:
    below, name = text.startswith("*."), text.removeprefix("*.")
    refuse = partial(BadRule, f"hosts: {text[:80]}: must be a host name, or *. and a host name; no scheme, no path")
    try:
        authority = name.encode("ascii")
    except UnicodeEncodeError:
        raise BadRule(f"hosts: {text[:80]}: must be in its ASCII form (xn--...)") from None
    match = AUTHORITY.fullmatch(authority.lower())
    place = split_authority(authority, "https") if match is not None else None
    if match is None or place is None:
        raise refuse()
    port = int(match["port"]) if match["port"] else None
    if port in {80, 443}:
        port = None
    if below and place[0].startswith("["):
        raise refuse()
    return HostPattern(place[0], below, port)


def _path(text: str) -> PathPattern:
    exact, path = text.startswith("="), text.removeprefix("=")
    try:
        raw = path.encode()
        plain = decoded(raw)
    except (BadPath, UnicodeEncodeError) as error:
        raise BadRule(f"paths: {text[:80]}: {error}") from None
    if not path.startswith("/"):
        raise BadRule(f"paths: {text[:80]}: must begin with / or =/")
    if AMBIGUOUS.search(raw):
        raise BadRule(f"paths: {text[:80]}: must hold no dot segments, //, \\, ;, # or ?, and no escapes of them")
    return PathPattern(plain, exact)


def _method(text: str) -> str:
    if METHOD.fullmatch(text.encode("utf-8", "replace")) is None:
        raise BadRule(f"methods: {text[:40]}: must be an HTTP method in capital letters")
    return text


def _within(value: object) -> int:
    if type(value) is not int or not MIN_WITHIN <= value <= MAX_WITHIN:
        raise BadRule(f"within: must be a whole number of seconds, {MIN_WITHIN} to {MAX_WITHIN}")
    return value


def _allowed(value: object) -> Allowed:
    match value:
        case "everybody":
            return Allowed(everybody=True)
        case "signed-in":
            return Allowed(signed_in=True)
        case Mapping():
            return _listed(value)
        case _:
            raise BadRule('allow: must be "everybody", "signed-in", or a table of users, groups, domains, networks')


def _listed(table: Mapping[str, Any]) -> Allowed:
    for key in table:
        if key not in LISTS:
            raise BadRule(f"allow.{key}: there is no such key; there are {', '.join(LISTS)}")
    users, groups, domains, networks = (_texts(f"allow.{key}", table.get(key, []), some=False) for key in LISTS)
    return Allowed(
        users=frozenset(map(compare_key, users)),
        groups=frozenset(groups),
        domains=frozenset(map(_domain, domains)),
        networks=tuple(map(_network, networks)),
    )


def _domain(text: str) -> str:
    domain = text.lower().removesuffix(".")
    if DOMAIN.fullmatch(domain) is None:
        raise BadRule(f"allow.domains: {text[:80]}: must be the part of an e-mail address behind its @")
    return domain


def _network(text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError as error:
        raise BadRule(f"allow.networks: {text[:80]}: {error}") from None
