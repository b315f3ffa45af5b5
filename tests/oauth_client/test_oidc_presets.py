"""Google, Microsoft, LinkedIn, Apple, and the settings that other OpenID providers need."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwk, jwt

from app.settings import Settings
from tests.fakes.noted import GONE, Asked
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import running
from tests.oauth_client.conftest import Start, corp

TENANT, OTHER = "72f988bf-86f1-41af-91ab-2d7cd011db47", "11111111-2222-3333-4444-555555555555"
With = Callable[..., Any]


@pytest.fixture
def with_table(make_settings: Callable[..., Settings], provider: FakeOpenId, clock: Clock) -> With:
    @asynccontextmanager
    async def opened(**table: Any) -> AsyncIterator[OAuthFlow]:
        table = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "allow": "everybody"} | table
        table = {name: value for name, value in table.items() if value is not GONE}
        async with running(make_settings(oauth={"it": table}), clock) as service:
            yield OAuthFlow(service.another_client(headers={"Accept": "text/html"}))

    return opened


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def secret_in_body(asked: Asked) -> bool:
    return "authorization" not in asked.headers and asked.form["client_secret"] == CLIENT_SECRET


async def test_google_refresh_token_needs_access_type_offline(with_table: With, provider: FakeOpenId) -> None:
    async with with_table(type="google", issuer=provider.issuer, refresh=True, hosted_domain="corp.example") as flow:
        query = query_of(await flow.start("it"))
    assert (query["access_type"], query["prompt"], query["hd"]) == ("offline", "consent", "corp.example")
    assert query["scope"] == "openid profile email"


@pytest.mark.parametrize(("domain", "status"), [("corp.example", 303), ("other.example", 403), (None, 403)])
async def test_google_hosted_domain_is_checked(
    domain: str | None, status: int, with_table: With, provider: FakeOpenId
) -> None:
    provider.user["hd"] = domain
    async with with_table(type="google", issuer=provider.issuer, hosted_domain="corp.example") as flow:
        assert (await flow.sign_in("it")).status_code == status


@pytest.fixture
def entra(provider: FakeOpenId) -> FakeOpenId:
    provider.metadata = {
        "issuer": f"{provider.issuer}/{{tenantid}}/v2.0",
        "authorization_response_iss_parameter_supported": GONE,
    }
    provider.callback = {"iss": GONE}
    provider.claims = {"iss": f"{provider.issuer}/{TENANT}/v2.0", "tid": TENANT}
    return provider


@pytest.mark.parametrize("type_", ["microsoft", "oidc"])
@pytest.mark.parametrize("tenant", ["common", "organizations"])
async def test_a_tenants_own_issuer_is_accepted_from(
    tenant: str, type_: str, with_table: With, entra: FakeOpenId
) -> None:
    base = {"base_url": entra.issuer, "tenant": tenant}
    table = base if type_ == "microsoft" else {"issuer": f"{entra.issuer}/{tenant}/v2.0"}
    discovery = f"{entra.issuer}/.well-known/openid-configuration"
    async with with_table(type=type_, **table, discovery_url=discovery) as flow:
        assert (await flow.sign_in("it")).status_code == 303
        assert await flow.user() is not None


@pytest.mark.parametrize(
    "claims",
    [
        {"tid": OTHER},
        {"tid": GONE},
        {"tid": "{tenantid}"},
        {"iss": "https://evil.example/v2.0"},
        {"tid": "../x", "iss": "ISSUER/../x/v2.0"},
    ],
    ids=str,
)
async def test_tenant_id_that_differs_from_the_issuer_is_refused(
    claims: dict[str, Any], with_table: With, entra: FakeOpenId
) -> None:
    entra.claims |= {
        name: value.replace("ISSUER", entra.issuer) if isinstance(value, str) else value
        for name, value in claims.items()
    }
    discovery = f"{entra.issuer}/.well-known/openid-configuration"
    async with with_table(type="microsoft", base_url=entra.issuer, discovery_url=discovery) as flow:
        assert (await flow.sign_in("it")).status_code == 502


@pytest.mark.parametrize(("edov", "status"), [(True, 303), ("1", 303), (False, 403), (None, 403)])
async def test_microsofts_address_counts_only_if_the_domain_is_verified(
    edov: Any, status: int, with_table: With, entra: FakeOpenId
) -> None:
    entra.claims |= {"email": "a@corp.example", "email_verified": True, "xms_edov": edov}
    discovery = f"{entra.issuer}/.well-known/openid-configuration"
    table = {"type": "microsoft", "base_url": entra.issuer, "discovery_url": discovery}
    async with with_table(**table, allow={"domains": ["corp.example"]}) as flow:
        assert (await flow.sign_in("it")).status_code == status


async def test_linkedin_has_neither_pkce_nor_nonce(with_table: With, provider: FakeOpenId) -> None:
    provider.pkce, provider.client_auth = False, secret_in_body
    async with with_table(type="linkedin", issuer=provider.issuer) as flow:
        address = await flow.start("it")
        assert not {"code_challenge", "nonce"} & query_of(address).keys()
        assert (await flow.callback(await flow.authorize(address))).status_code == 303


APPLE_KEY = jwk.ECKey.generate_key("P-256")


def made_of_the_key(asked: Asked) -> bool:
    token = jwt.decode(asked.form["client_secret"], APPLE_KEY)
    claims = token.claims
    return (
        token.header["kid"] == "KEY1"
        and (claims["iss"], claims["sub"]) == ("TEAM1", CLIENT_ID)
        and claims["exp"] - claims["iat"] <= 15_777_000
        and asked.form["client_id"] == CLIENT_ID
    )


async def test_apple_gets_a_secret_made_of_the_key_and_posts_the_callback(
    with_table: With, provider: FakeOpenId
) -> None:
    provider.client_auth = made_of_the_key
    provider.metadata = {
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "userinfo_endpoint": GONE,
        "authorization_response_iss_parameter_supported": GONE,
    }
    provider.user |= {"email": "a@corp.example", "email_verified": "true"}
    provider.callback = {"iss": GONE, "user": '{"name": {"firstName": "Nelly", "lastName": "Roe"}}'}
    key = APPLE_KEY.as_pem(private=True).decode()
    table = {"type": "apple", "issuer": provider.issuer, "team_id": "TEAM1", "key_id": "KEY1", "private_key": key}
    async with with_table(**table, client_secret=GONE, allow={"domains": ["corp.example"]}) as flow:
        address = await flow.start("it", next="/account")
        assert query_of(address)["response_mode"] == "form_post"
        url, form = provider.posted(await flow.authorize(address))
        cookies = dict(flow.browser.cookies)
        flow.browser.cookies.clear()  # SameSite=Lax
        headers = {"Origin": "https://appleid.apple.com", "Sec-Fetch-Site": "cross-site"}
        answer = await flow.browser.post(url, data=form, headers=headers)
        assert answer.status_code == 303, answer.text
        flow.browser.cookies.update(cookies)
        answer = await flow.callback(answer.headers["location"])
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        assert "Nelly Roe" in (await flow.browser.get("/account")).text


async def test_a_posted_callback_is_refused_by_providers_that_do_not_post(
    flow: OAuthFlow, provider: FakeOpenId
) -> None:
    url, form = provider.posted(await flow.authorize(await flow.start()))
    assert (await flow.browser.post(url, data=form)).status_code == 405


@pytest.mark.parametrize("key", ["no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
async def test_malformed_apple_key_is_named(
    key: str, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    table = {"type": "apple", "client_id": "x", "team_id": "T", "key_id": "K", "private_key": key}
    async with running(make_settings(oauth={"it": table})):
        pass
    log = capfd.readouterr().err
    assert "oauth.it.private_key" in log
    assert "AAAA" not in log


@pytest.mark.parametrize(
    ("method", "check"),
    [
        ("client_secret_post", secret_in_body),
        ("client_secret_basic", None),
        ("none", lambda asked: "client_secret" not in asked.form and asked.form["client_id"] == CLIENT_ID),
    ],
)
async def test_token_endpoint_auth_method_follows_the_setting(
    method: str, check: Any, start: Start, provider: FakeOpenId
) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"]}
    provider.client_auth = check
    async with start(token_endpoint_auth_method=method) as service:
        assert (await OAuthFlow(service.client).sign_in()).status_code == 303


async def test_extra_parameters_and_prompt_follow_the_settings(start: Start) -> None:
    further = {"access_type": "offline", "resource": "a b"}
    async with start(authorization_params=further, prompt="select_account", scopes="openid offline_access") as service:
        query = query_of(await OAuthFlow(service.client).start())
    assert further.items() <= query.items()
    assert query["prompt"] == "select_account"


@pytest.mark.parametrize(("prompt", "sent"), [(None, "consent"), ("", None), ("login", "login")])
async def test_offline_access_prompt_follows_the_setting(prompt: str | None, sent: str | None, start: Start) -> None:
    async with start(scopes="openid offline_access", prompt=prompt) as service:
        assert query_of(await OAuthFlow(service.client).start()).get("prompt") == sent


@pytest.mark.parametrize("name", ["state", "redirect_uri", "nonce", "code_challenge", "client_id", "prompt"])
async def test_reserved_parameters_cannot_be_set(
    name: str, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str], provider: FakeOpenId
) -> None:
    async with running(make_settings(oauth={"corp": corp(provider, authorization_params={name: "x"})})):
        pass
    assert f"{name} cannot be set here" in capfd.readouterr().err


async def test_hs256_needs_the_setting_and_the_secret(start: Start, provider: FakeOpenId) -> None:
    def with_secret(secret: str) -> Callable[[str], str]:
        def signed(token: str) -> str:
            claims = jwt.decode(token, provider.keys[0]).claims
            return jwt.encode({"alg": "HS256"}, claims, jwk.OctKey.import_key(secret))

        return signed

    provider.id_token = with_secret(CLIENT_SECRET)
    async with start() as service:
        assert (await OAuthFlow(service.client).sign_in()).status_code == 502
    async with start(id_token_signed_response_alg="HS256") as service:
        flow = OAuthFlow(service.client)
        assert (await flow.sign_in()).status_code == 303
        provider.id_token = with_secret("another secret")
        assert (await flow.sign_in()).status_code == 502
        provider.id_token = lambda token: token  # RS256, which is not the one
        assert (await flow.sign_in()).status_code == 502


@pytest.mark.parametrize(("verified", "allowed"), [(GONE, True), (None, True), (False, False), ("false", False)])
async def test_unmarked_address_counts_only_by_the_setting(
    verified: Any, allowed: bool, start: Start, provider: FakeOpenId
) -> None:
    provider.claims = {"email": "a@corp.example", "email_verified": verified}
    async with start(assume_email_verified=True, allow={"domains": ["corp.example"]}) as service:
        assert (await OAuthFlow(service.client).sign_in()).status_code == (303 if allowed else 403)


async def test_long_id_token_is_left_out_of_the_logout_url(start: Start, provider: FakeOpenId) -> None:
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/bye"}
    provider.claims = {"groups": ["x" * 40] * 80}
    async with start(sign_out_there=True) as service:
        flow = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
        await flow.sign_in()
        page = await flow.browser.post("/sign-out")
    assert f"{provider.issuer}/bye?client_id=" in page.text
    assert "id_token_hint" not in page.text


@pytest.mark.slow
async def test_sixty_users_behind_one_address_sign_in(start: Start, provider: FakeOpenId) -> None:
    provider.now = time.time
    async with start() as service:
        for number in range(60):
            provider.user = {"sub": str(number)}
            assert (await OAuthFlow(service.another_client()).sign_in()).status_code == 303
