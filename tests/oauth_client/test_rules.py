"""The rule of a provider: which of its users may have an account."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.openid import FakeOpenId
from tests.helpers.oauth_flow import OAuthFlow
from tests.oauth_client.conftest import Start

ALICE = {"sub": "1", "email": "alice@Corp.example", "email_verified": True, "groups": ["staff", "x"], "hd": "corp"}
RULES: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "everybody": ("everybody", {}, True),
    "only the invited": ("invited", {}, False),
    "an empty table": ({}, {}, False),
    "a domain": ({"domains": ["other.example", "corp.example"]}, {}, True),
    "domains of a variable": ({"domains": "other.example, corp.example"}, {}, True),
    "another domain": ({"domains": ["other.example"]}, {}, False),
    "a domain, but a subdomain's address": ({"domains": ["corp.example"]}, {"email": "a@x.corp.example"}, False),
    "a domain, but an evil one before it": ({"domains": ["corp.example"]}, {"email": "a@evil@corp.example"}, False),
    "a domain, but an evil one after it": ({"domains": ["corp.example"]}, {"email": "a@corp.example.evil"}, False),
    "a domain, but the address is not verified": ({"domains": ["corp.example"]}, {"email_verified": False}, False),
    "a domain, but nobody says that it is verified": ({"domains": ["corp.example"]}, {"email_verified": None}, False),
    "a domain, verified as another text": ({"domains": ["corp.example"]}, {"email_verified": "yes"}, False),
    "a domain, verified as a number": ({"domains": ["corp.example"]}, {"email_verified": 1}, False),
    "a domain, verified as a text": ({"domains": ["corp.example"]}, {"email_verified": "true"}, True),
    "a domain, but no address": ({"domains": ["corp.example"]}, {"email": None}, False),
    "a domain, but nothing before it": ({"domains": ["corp.example"]}, {"email": "@corp.example"}, False),
    "a group": ({"claims": {"groups": ["admins", "staff"]}}, {}, True),
    "a claim that is a text": ({"claims": {"hd": "corp"}}, {}, True),
    "another group": ({"claims": {"groups": ["admins"]}}, {}, False),
    "a part of a group's name": ({"claims": {"groups": ["sta"]}}, {}, False),
    "a claim that is missing": ({"claims": {"roles": ["staff"]}}, {}, False),
    "a nested claim": (
        {"claims": {"realm_access.roles": ["staff"]}},
        {"realm_access": {"roles": ["user", "staff"]}},
        True,
    ),
    "a nested claim of another value": (
        {"claims": {"realm_access.roles": ["staff"]}},
        {"realm_access": {"roles": ["user"]}},
        False,
    ),
    "a nested claim that is a text": ({"claims": {"realm_access.roles": ["staff"]}}, {"realm_access": "staff"}, False),
    "a claim with dots in its name": (
        {"claims": {"https://slack.com/team_id": "T1"}},
        {"https://slack.com/team_id": "T1"},
        True,
    ),
    "a number": ({"claims": {"level": 5}}, {"level": 5}, True),
    "a number as a text": ({"claims": {"level": ["5", 6]}}, {"level": 5.0}, True),
    "another number": ({"claims": {"level": 5}}, {"level": 50}, False),
    "a boolean": ({"claims": {"employee": True}}, {"employee": True}, True),
    "a boolean as a text": ({"claims": {"employee": "true"}}, {"employee": True}, True),
    "a boolean that is false": ({"claims": {"employee": True}}, {"employee": False}, False),
    "a boolean for a number": ({"claims": {"employee": 1}}, {"employee": True}, False),
    "a domain and a group": ({"domains": ["corp.example"], "claims": {"groups": ["staff"]}}, {}, True),
    "a domain and another group": ({"domains": ["corp.example"], "claims": {"groups": ["admins"]}}, {}, False),
    "a group and another domain": ({"domains": ["other.example"], "claims": {"groups": ["staff"]}}, {}, False),
}


@pytest.mark.parametrize("rule", RULES)
async def test_sign_up_rule_decides(rule: str, start: Start, provider: FakeOpenId, users: Callable[[], int]) -> None:
    allow, changes, allowed = RULES[rule]
    provider.user = ALICE | changes
    async with start(allow=allow) as service:
        flow = OAuthFlow(service.client)
        answer = await flow.sign_in()
        assert answer.status_code == (303 if allowed else 403), answer.text
        assert (await flow.user() is not None) == allowed
    assert users() == (3 if allowed else 0)
