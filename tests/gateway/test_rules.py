"""The matcher: pure, so that it can be asked about everything."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.readings import BadPath, readings
from app.gateway.rule_config import BadRule, parse_rules, unreachable_rules
from app.gateway.rules import Allowed, Effect, Rules, Subject, domain_of, first_match

HOST = "wiki.example.com"
ALICE = Subject("Alice", "alice@corp.com", frozenset({"staff"}), signed_in_at=1000.0, address="192.0.2.7")
NOBODY = Subject()


def rules_of(*tables: dict[str, Any]) -> Rules:
    return parse_rules([{"hosts": [HOST]} | table for table in tables])


def ask(
    rules: Rules, path: str = "/", subject: Subject = ALICE, *, host: str = HOST, method: str = "GET", now: float = 1000
) -> Effect:
    return rules.decide(host, None, method, path.encode("latin-1"), subject, now).effect


def test_first_match_decides_and_without_a_match_the_request_is_refused() -> None:
    rules = rules_of({"paths": ["/a"], "allow": "everybody"}, {"paths": ["/b"], "allow": "signed-in"})
    assert ask(rules, "/a", NOBODY) == Effect.ALLOW
    assert ask(rules, "/b", NOBODY) == Effect.SIGN_IN
    assert ask(rules, "/b") == Effect.ALLOW
    assert ask(rules, "/c") == Effect.REFUSE
    assert ask(rules, "/a", host="other.example.com") == Effect.REFUSE
    assert ask(Rules(()), "/") == Effect.REFUSE


@pytest.mark.parametrize(
    ("pattern", "host", "answer"),
    [
        ("Wiki.Example.COM.", HOST, True),
        ("wiki.example.com:443", HOST, True),
        ("*.example.com", HOST, True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.xample.com", "wiki.example.com", False),
        ("wiki.example.com", "wiki.example.com.evil.com", False),
        ("[2001:db8::1]", "[2001:db8::1]", True),
    ],
)
def test_hosts_are_exact_or_below_a_star(pattern: str, host: str, answer: bool) -> None:
    rules = parse_rules([{"hosts": [pattern], "allow": "everybody"}])
    assert (ask(rules, host=host) == Effect.ALLOW) is answer


def test_port_in_a_rule_stands_for_that_port_and_none_for_every_port() -> None:
    rules = parse_rules([{"hosts": ["a.test:8443", "b.test"], "allow": "everybody"}])
    assert rules.of_host("a.test", 8443)
    assert not rules.of_host("a.test", None)
    assert rules.of_host("b.test", 8443)


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        ("/public/", "/public/x", True),
        ("/public/", "/public/", True),
        ("/public/", "/public", False),
        ("/public/", "/publicity", False),
        ("/public", "/public", True),
        ("/public", "/public/x", True),
        ("/public", "/publicity", False),
        ("/public", "/Public", False),
        ("=/health", "/health", True),
        ("=/health", "/health/", False),
        ("=/health", "/health/x", False),
        ("/caf\u00e9/", "/caf%C3%A9/x", True),
        ("/caf%C3%A9/", "/caf%c3%a9/x", True),
        ("/a b", "/a%20b", True),
        ("/", "/anything", True),
        ("/public/", "/x?/public/", False),
    ],
)
def test_paths_are_prefixes_at_a_segments_boundary_or_exact(pattern: str, path: str, answer: bool) -> None:
    rules = rules_of({"paths": [pattern], "allow": "everybody"})
    assert (ask(rules, path) == Effect.ALLOW) is answer


def test_methods_are_all_or_those_listed() -> None:
    rules = rules_of({"methods": ["GET", "HEAD"], "allow": "everybody"}, {"allow": "signed-in"})
    assert ask(rules, subject=NOBODY, method="HEAD") == Effect.ALLOW
    assert ask(rules, subject=NOBODY, method="POST") == Effect.SIGN_IN
    assert ask(rules, subject=NOBODY, method="get") == Effect.SIGN_IN


@pytest.mark.parametrize(
    "allow",
    [
        {"users": ["ALICE"]},
        {"groups": ["staff", "others"]},
        {"domains": ["Corp.com"]},
        {"networks": ["192.0.2.0/24"]},
        {"users": ["bob"], "networks": ["192.0.2.7"]},
    ],
)
def test_any_one_of_the_lists_allows(allow: dict[str, list[str]]) -> None:
    assert ask(rules_of({"allow": allow})) == Effect.ALLOW


@pytest.mark.parametrize(
    "allow",
    [{"users": ["bob"]}, {"groups": ["Staff"]}, {"domains": ["corp.com.evil"]}, {"networks": ["198.51.100.0/24"]}, {}],
)
def test_signed_in_user_whom_no_list_names_is_refused(allow: dict[str, list[str]]) -> None:
    assert ask(rules_of({"allow": allow})) == Effect.REFUSE


def test_network_lets_pass_without_a_sign_in_and_alone_asks_for_none() -> None:
    rules = rules_of({"allow": {"networks": ["192.0.2.0/24", "2001:db8::/32"]}})
    assert ask(rules, subject=Subject(address="192.0.2.9")) == Effect.ALLOW
    assert ask(rules, subject=Subject(address="::ffff:192.0.2.9")) == Effect.ALLOW
    assert ask(rules, subject=Subject(address="2001:db8::5")) == Effect.ALLOW
    assert ask(rules, subject=NOBODY) == Effect.REFUSE
    assert ask(rules_of({"allow": {"networks": ["192.0.2.0/24"], "users": ["a"]}}), subject=NOBODY) == Effect.SIGN_IN


@pytest.mark.parametrize(
    ("email", "domain"),
    [("a@corp.com", "corp.com"), ("a@Corp.COM.", "corp.com"), ("a@evil@corp.com", ""), ("@corp.com", ""),
     ("corp.com", ""), ("a@corp.com.evil", "corp.com.evil"), ("", "")],
)  # fmt: skip
def test_address_with_two_at_signs_has_no_domain(email: str, domain: str) -> None:
    assert domain_of(email) == domain


def test_within_asks_for_a_recent_sign_in() -> None:
    rules = rules_of({"allow": "signed-in", "within": 600})
    assert ask(rules, now=1600) == Effect.ALLOW
    assert ask(rules, now=1601) == Effect.SIGN_IN_AGAIN
    assert ask(rules, subject=NOBODY) == Effect.SIGN_IN
    assert ask(rules, subject=Subject("alice")) == Effect.SIGN_IN_AGAIN, "a token has no time of sign-in"


TRAPS = [
    "/public/../secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/public/%2e%2e%2fsecret",
    "/public/..\\secret", "/public/..%5csecret", "/public/%252e%252e/secret", "/public/..%252fsecret",
    "/public/..;/secret", "/public/..;x=1/secret", "/public/..%3b/secret", "/public/./../secret",
    "/public//../../secret", "/public/x/../../secret", "/secret#/public/", "/secret%23/../public/",
    "/secret;/../public/", "/public/..%2Fsecret", "/public/.%2e/secret", "/public/%%32e%2%65/secret",
    "/public/%25%32%65%25%32%65/secret", "/public/x%2fy/%2e%2e/%2e%2e/%2e%2e/secret",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAPS)
def test_path_that_may_lead_into_a_refused_part_is_refused(path: str) -> None:
    rules = rules_of({"paths": ["/public/"], "allow": "everybody"}, {"allow": {"users": ["bob"]}})
    assert ask(rules, path) == Effect.REFUSE
    assert ask(rules, path, NOBODY) == Effect.SIGN_IN


SPELLINGS = [
    "//secret", "/./secret", "/x/../secret", "/secret;a=b", "/%2fsecret", "/;/secret",
    "//x/secret", "///x/secret", "/\\x/secret", "/%5cx/secret", "//u@x:1/secret", "/%2fx%2fsecret/y",
    "//u@x%73ecret", "/secret%20", "/Secret", "/%53ECRET/x", "/x/../SECRET",
]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_prefix_that_is_refused_is_found_in_every_spelling(path: str) -> None:
    rules = rules_of({"paths": ["/secret"], "allow": {"users": ["bob"]}}, {"allow": "signed-in"})
    assert ask(rules, path) == Effect.REFUSE


def test_case_makes_no_rule_milder() -> None:
    rules = rules_of({"paths": ["/Public/"], "allow": "everybody"}, {"paths": ["/Ops"], "allow": {"users": ["bob"]}},
                     {"allow": "signed-in"})  # fmt: skip
    assert ask(rules, "/Public/x", NOBODY) == Effect.ALLOW
    assert ask(rules, "/public/x", NOBODY) == ask(rules, "/PUBLIC/x", NOBODY) == Effect.SIGN_IN
    assert ask(rules, "/Ops") == ask(rules, "/ops/x") == ask(rules, "/OPS") == Effect.REFUSE


@pytest.mark.parametrize("path", ["/a%00", "/a%0d%0a", "/%ff", "/%c0%ae%c0%ae/", "/a%2500", "/a\x01", "/%ed%a0%80"])
def test_control_characters_and_invalid_utf8_have_no_reading(path: str) -> None:
    with pytest.raises(BadPath):
        ask(rules_of({"allow": "everybody"}), path)


def test_path_of_too_many_readings_is_refused_and_soon() -> None:
    with pytest.raises(BadPath):
        readings(b"/" + b"%2525252525252f..;x//%5c%23%3f" * 200)


@pytest.mark.parametrize("path", ["/wiki/Caf%C3%A9", "/a%20b", "/@x", "/.well-known/x", "/a.b/..c/d...", "/%E4%BD%A0"])
def test_ordinary_paths_have_one_reading(path: str) -> None:
    assert len(readings(path.encode())) == 1


PIECES = ["/", "//", "public", "secret", "..", ".", "%2e", "%2E%2e", "%2f", "%252f", "%252e", "\\", "%5c", ";", ";x",
          "%3b", "#", "%23", "?", "%3f", "%25", "a", "%41", "%", "2e", "%32"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_path_refused_in_one_reading_is_never_allowed(pieces: list[str]) -> None:
    path = ("/" + "".join(pieces)).partition("?")[0].encode()
    rules = rules_of(
        {"paths": ["/public/", "=/a"], "allow": "everybody"},
        {"paths": ["/secret"], "allow": {"users": ["bob"]}},
        {"allow": "signed-in"},
    )
    try:
        every = readings(path)
    except BadPath:
        return
    effects = {first_match(rules.of_host(HOST, None), "GET", reading, ALICE, 1000).effect for reading in every}
    assert rules.decide(HOST, None, "GET", path, ALICE, 1000).effect == max(effects)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10))
def test_readings_of_a_reading_are_among_the_readings(pieces: list[str]) -> None:
    """An application that reads a path in several steps arrives at a reading that has been looked at."""
    try:
        every = readings(("/" + "".join(pieces)).encode())
        assert all(readings(reading) <= every for reading in every if reading.startswith(b"/"))
    except BadPath:
        return


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "rule 1: allow: is missing"),
        ({"allow": "everyone"}, "allow: must be"),
        ({"allow": "signed-in", "path": ["/"]}, "path: there is no such key"),
        ({"allow": {"user": ["a"]}}, "allow.user: there is no such key"),
        ({"allow": {"users": "a"}}, "allow.users: must be a list of texts"),
        ({"allow": {"networks": ["10.0.0.1/8"]}}, "allow.networks: 10.0.0.1/8"),
        ({"allow": {"domains": ["@corp.com"]}}, "allow.domains"),
        ({"allow": "signed-in", "hosts": []}, "hosts: must not be empty"),
        ({"allow": "signed-in", "hosts": ["https://a"]}, "hosts: https://a"),
        ({"allow": "signed-in", "hosts": ["a.*.b"]}, "hosts"),
        ({"allow": "signed-in", "hosts": ["*"]}, "hosts"),
        ({"allow": "signed-in", "hosts": ["w\u00edki.test"]}, "xn--"),
        ({"allow": "signed-in", "paths": ["public"]}, "must begin with /"),
        ({"allow": "signed-in", "paths": ["/a/../b"]}, "dot segments"),
        ({"allow": "signed-in", "paths": ["/a%2fb"]}, "escapes"),
        ({"allow": "signed-in", "paths": ["/%ff"]}, "UTF-8"),
        ({"allow": "signed-in", "methods": ["get"]}, "capital letters"),
        ({"allow": "signed-in", "within": 5}, "within"),
        ({"allow": "signed-in", "within": True}, "within"),
    ],
)
def test_mistake_is_named_in_one_line(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRule) as raised:
        rules_of(table)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({}, {}, True),
        ({}, {"paths": ["/a"]}, True),
        ({"paths": ["/a"]}, {}, False),
        ({"paths": ["/a/"]}, {"paths": ["/a/b", "=/a/c"]}, True),
        ({"paths": ["/a/"]}, {"paths": ["/a"]}, False),
        ({"paths": ["=/a"]}, {"paths": ["/a"]}, False),
        ({"methods": ["GET"]}, {"methods": ["GET", "POST"]}, False),
        ({"methods": ["GET", "POST"]}, {"methods": ["POST"]}, True),
        ({"hosts": ["*.example.com"]}, {"hosts": [HOST, "*.a.example.com"]}, True),
        ({"hosts": ["*.example.com"]}, {"hosts": ["example.com"]}, False),
        ({"hosts": [HOST]}, {"hosts": ["*.example.com"]}, False),
    ],
)
def test_rule_that_can_never_decide_is_found(first: dict[str, Any], second: dict[str, Any], found: bool) -> None:
    lines = unreachable_rules(rules_of(first | {"allow": "signed-in"}, second | {"allow": "everybody"}))
    assert bool(lines) is found
    assert all("rule 2 can never decide: rule 1" in line for line in lines)


def test_reason_says_which_list_allows() -> None:
    allowed = Allowed(groups=frozenset({"staff"}), networks=(ip_network("192.0.2.0/24"),))
    assert str(allowed.reason(ALICE)) == "the address 192.0.2.7 is in one of the rule's networks"
    assert str(Allowed(groups=frozenset({"staff"})).reason(ALICE)) == "the user is in the group staff"
