"""Groups of the provider: they belong to the session that began there, and follow what it says."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.oauth_client.claims import groups_of
from app.settings import Settings
from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.oauth_client.conftest import corp
from tests.oauth_client.refresh.conftest import LIFETIME

RULES = ({"hosts": ["tallygate.test"], "paths": ["/staff"], "allow": {"groups": ["staff"]}},)
QUESTION = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "tallygate.test", "X-Forwarded-Method": "GET"}


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    provider.refresh_tokens = []
    return {
        "corp": corp(provider, refresh=True),
        "nested": corp(provider, refresh=True, groups_claim="realm_access.roles"),
    }


@pytest.fixture
async def service(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]], clock: Clock
) -> AsyncIterator[Running]:
    changes = {"oauth": tables, "oauth_timeout": PATIENCE / 2, "rules": RULES, "trusted_proxies": ("192.0.2.1",)}
    async with running(make_settings(**changes), clock) as service:
        yield service


async def answer(flow: OAuthFlow) -> int:
    """What a rule says that asks for the group staff."""
    asked = await flow.browser.get("/verify/forward-auth", headers=QUESTION | {"X-Forwarded-Uri": "/staff"})
    if asked.status_code == 200:
        assert "staff" in asked.headers["remote-groups"].split(",")
    return asked.status_code


@pytest.mark.parametrize(
    ("name", "claims", "without"),
    [
        ("corp", {"groups": ["staff", "a b"]}, {"groups": []}),
        ("corp", {"groups": "staff"}, {}),
        ("nested", {"realm_access": {"roles": ["staff"]}}, {"realm_access": {"roles": ["other"]}}),
    ],
)
async def test_a_recheck_renews_groups(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock, name: str, claims: dict[str, Any], without: dict[str, Any]
) -> None:
    provider.claims = claims
    await flow.sign_in(name)
    assert await answer(flow) == 200
    provider.refreshed = {"id_token": provider.new_id_token(**without)}
    clock.move(LIFETIME - 1)
    assert await answer(flow) == 200
    clock.move(1)
    assert await answer(flow) == 403
    provider.refreshed = {"id_token": provider.new_id_token(**claims)}
    clock.move(LIFETIME)
    assert await answer(flow) == 200


async def test_groups_come_from_userinfo_if_the_id_token_has_none(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.userinfo = {"realm_access": {"roles": ["staff"]}}
    await flow.sign_in("nested")
    assert await answer(flow) == 200
    provider.userinfo = {"realm_access": {"roles": []}}
    clock.move(LIFETIME)
    assert await answer(flow) == 403


async def test_groups_stay_if_the_provider_sends_none(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    provider.claims = {"groups": ["staff"]}
    await flow.sign_in()
    provider.userinfo = {"sub": "somebody-else"}
    clock.move(LIFETIME)
    assert await answer(flow) == 200


async def test_new_sign_in_replaces_groups(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.claims = {"groups": ["staff"]}
    await flow.sign_in()
    assert await answer(flow) == 200
    provider.claims = {"groups": ["guests"]}
    await flow.sign_in()
    assert await answer(flow) == 403


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (None, ()), (7, ()), ("a,b", ("a,b",)), (["a", "a", 7, "", "b\n", "x" * 256, "/ü"], ("a", "/ü")),
        ([str(number) for number in range(600)], tuple(str(number) for number in range(500))),
    ],
)  # fmt: skip
def test_malformed_groups_claim_gives_no_groups(claim: object, groups: tuple[str, ...]) -> None:
    assert groups_of({"groups": claim}, "groups") == groups
