"""What an OpenID provider may say of somebody, and what it may not: each lie ends at the sign-in page."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwk
from joserfc.errors import SecurityWarning
from starlette.responses import JSONResponse

from tests.fakes.noted import GONE
from tests.fakes.openid import CLIENT_ID, EC, EC384, EC521, ED, OTHER_RSA, RSA, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.oauth_client.conftest import Start

Change = Callable[[FakeOpenId], object]


def says(**claims: Any) -> Change:
    return lambda provider: provider.claims.update(claims)


def ages(name: str, seconds: float) -> Change:
    return lambda provider: provider.claims.update({name: int(provider.now()) + seconds})


def gives(**tokens: Any) -> Change:
    return lambda provider: provider.tokens.update(tokens)


def signs(**changes: Any) -> Change:
    return lambda provider: provider.__dict__.update(changes)


def shared_secret(provider: FakeOpenId) -> None:
    """The classic: the public key, which everybody has, as the secret of an HMAC."""
    provider.algorithm = "HS256"


def own_key_in_header(provider: FakeOpenId) -> None:
    provider.sign_with = OTHER_RSA
    provider.header = {"kid": GONE, "jwk": OTHER_RSA.as_dict(private=False), "jku": f"{provider.issuer}/evil"}


def other_payload(provider: FakeOpenId) -> None:
    def changed(token: str) -> str:
        header, _, signature = token.split(".")
        claims = json.dumps({"sub": "somebody else"}).encode()
        return f"{header}.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.{signature}"

    provider.id_token = changed


def short_key(provider: FakeOpenId) -> None:
    with pytest.warns(SecurityWarning):
        provider.keys = [jwk.RSAKey.generate_key(1024, {"kid": "rsa"})]


def odd_curve(provider: FakeOpenId) -> None:
    provider.keys, provider.algorithm = [EC], "ES256"
    published = EC.as_dict(private=False) | {"crv": "P-999"}
    provider.instead["/jwks"] = lambda: JSONResponse({"keys": [published]})


def nameless_key(provider: FakeOpenId) -> None:
    published = RSA.as_dict(private=False)
    del published["kid"]
    provider.instead["/jwks"] = lambda: JSONResponse({"keys": [published]})


def encryption_key(provider: FakeOpenId) -> None:
    published = RSA.as_dict(private=False) | {"alg": "RSA-OAEP"}
    provider.instead["/jwks"] = lambda: JSONResponse({"keys": [published]})


def no_header_value(provider: FakeOpenId) -> None:
    provider.claims = {"at_hash": GONE}
    provider.tokens = {"access_token": "é"}


LIES: dict[str, Change] = {
    "another issuer": says(iss="https://evil.example"),
    "no issuer": says(iss=GONE),
    "the issuer with a slash": lambda provider: provider.claims.update(iss=f"{provider.issuer}/"),
    "another audience": says(aud="somebody else"),
    "no audience": says(aud=GONE),
    "several audiences with another's azp": says(aud=[CLIENT_ID, "another"], azp="another"),
    "several audiences without azp": says(aud=[CLIENT_ID, "another"]),
    "another's azp": says(azp="another"),
    "no sub": says(sub=GONE),
    "an empty sub": says(sub=""),
    "a sub that is no text": says(sub=["248289761001"]),
    "a sub without end": says(sub="x" * 256),
    "no nonce": says(nonce=GONE),
    "a nonce that is no Unicode": says(nonce="\ud800"),
    "another nonce": says(nonce="n-0S6_WzA2Mj"),
    "no iat": says(iat=GONE),
    "no exp": says(exp=GONE),
    "an exp that is no number": says(exp="tomorrow"),
    "an exp of NaN": says(exp=float("nan")),
    "an exp that is true": says(exp=True),
    "expired": ages("exp", -121),
    "issued in the future": ages("iat", 61 + 120),
    "not valid yet": ages("nbf", 61 + 120),
    "another at_hash": says(at_hash="77QmUPtjPfzWtF2AnpK9RQ"),
    "an at_hash that is a list": says(at_hash=["x"]),
    "no signature": signs(algorithm="none"),
    "a shared secret": shared_secret,
    "a key in its header": own_key_in_header,
    "another's key under our kid": signs(sign_with=OTHER_RSA, header={"kid": "rsa"}),
    "an unknown kid": signs(sign_with=OTHER_RSA),
    "a kid that is no text": signs(header={"kid": {"x": 1}}),
    "a kid of no key": signs(header={"kid": "gone"}),
    "no kid, and a key that is not published": signs(sign_with=OTHER_RSA, header={"kid": GONE}),
    "ES256 with a key on another curve": signs(keys=[EC384], algorithm="ES256", header={"alg": "ES256"}),
    "a key for encryption alone": encryption_key,
    "critical headers": signs(header={"crit": ["http://example.com/odd"], "http://example.com/odd": 1}),
    "a critical b64": signs(header={"crit": ["b64"], "b64": True}),
    "an algorithm of our own": signs(header={"alg": "RS257"}, algorithm="RS256"),
    "an algorithm that is a list": signs(header={"alg": ["RS256"]}),
    "ES256 with a key for RSA": signs(header={"alg": "ES256"}),
    "a key that is too short": short_key,
    "a key on a curve that nobody knows": odd_curve,
    "changed after signing": other_payload,
    "missing": gives(id_token=GONE),
    "empty": gives(id_token=""),
    "a number": gives(id_token=5),
    "of two parts": gives(id_token="e30.e30"),
    "of five parts": gives(id_token="e30.e30.e30.e30.e30"),
    "not base64": gives(id_token="!.!.!"),
    "not ASCII": gives(id_token="é.é.é"),
    "a header that is a list": gives(id_token="W10.e30.AA"),
    "a deeply nested header": gives(id_token=base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.AA"),
    "of 100 KB": says(much="x" * 100_000),
    "of 1 MB": says(much="x" * 1_000_000),
    "no access token": gives(access_token=GONE),
    "an access token that no header can hold": no_header_value,
    "a token that is no bearer's": gives(token_type="DPoP"),
    "no token type": gives(token_type=GONE),
}


@pytest.mark.parametrize("lie", LIES)
async def test_bad_id_token_is_refused(
    lie: str, flow: OAuthFlow, provider: FakeOpenId, users: Callable[[], int]
) -> None:
    callback = await flow.authorize(await flow.start())
    LIES[lie](provider)
    answer = await flow.callback(callback)
    assert answer.status_code == 502
    assert "could not be verified" in answer.text
    assert await flow.user() is None
    assert users() == 0


async def settled(flow: OAuthFlow, provider: FakeOpenId, change: Change) -> None:
    change(provider)
    answer = await flow.sign_in()
    assert answer.status_code == 303, answer.text
    assert await flow.user() is not None


TRUTHS: dict[str, Change] = {
    **{name: signs(algorithm=name) for name in ("RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": signs(keys=[EC], algorithm="ES256"),
    "ES384": signs(keys=[EC384], algorithm="ES384"),
    "ES512": signs(keys=[EC521], algorithm="ES512"),
    "no kid, and two keys": signs(keys=[OTHER_RSA, RSA], sign_with=RSA, header={"kid": GONE}),
    "a kid, and a key without": nameless_key,
    "an audience in a list": says(aud=[CLIENT_ID]),
    "EdDSA": signs(keys=[ED], algorithm="EdDSA"),
    "Ed25519": signs(keys=[ED], algorithm="Ed25519"),
    "no kid, and one key": signs(header={"kid": GONE}),
    "no kid, and one key of its type": signs(keys=[EC, RSA], sign_with=RSA, header={"kid": GONE}),
    "several keys": signs(keys=[EC, OTHER_RSA, RSA], sign_with=RSA),
    "several audiences with our azp": says(aud=["another", CLIENT_ID], azp=CLIENT_ID),
    "no at_hash": says(at_hash=GONE),
    "a clock that is a little ahead": ages("iat", 110),
    "a clock that is a little behind": ages("exp", -110),
    "an unknown header and claim": signs(header={"x-odd": "1", "x5t": "abc"}, claims={"odd": {"x": [1]}}),
    "a lower-case bearer": gives(token_type="bearer"),
}


@pytest.mark.parametrize("truth", TRUTHS)
async def test_valid_id_token_is_accepted(truth: str, flow: OAuthFlow, provider: FakeOpenId) -> None:
    await settled(flow, provider, TRUTHS[truth])


async def test_userinfo_is_fetched_only_for_missing_claims(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user |= {"email": "a@corp.example", "email_verified": True, "name": "Alice"}
    await flow.sign_in()
    assert provider.count("/userinfo") == 0
    provider.userinfo = {"name": "Alice"}
    await flow.sign_in()
    assert provider.count("/userinfo") == 1


@pytest.mark.parametrize(
    "userinfo", [{"sub": "another"}, {"sub": GONE}, {"sub": ["248289761001"]}], ids=["another", "none", "list"]
)
async def test_userinfo_of_another_sub_is_refused(
    userinfo: dict[str, Any], flow: OAuthFlow, provider: FakeOpenId, users: Callable[[], int]
) -> None:
    provider.userinfo = userinfo
    answer = await flow.sign_in()
    assert answer.status_code == 502
    assert await flow.user() is None
    assert users() == 0


CEO, MALLORY = {"email": "ceo@corp.example"}, {"email": "mallory@evil.example"}
VERIFIED = {"email_verified": True}


@pytest.mark.parametrize(
    ("claims", "userinfo", "allowed"),
    [
        (CEO | VERIFIED, MALLORY, True),
        (CEO, MALLORY | VERIFIED, False),
        (VERIFIED, CEO, False),
        (MALLORY, CEO | VERIFIED, True),
        (CEO | {"email_verified": False}, CEO | VERIFIED, False),
        ({}, CEO | VERIFIED, True),
        (CEO | {"name": "Jane Roe"}, CEO | VERIFIED, True),
        (CEO | {"name": "Jane Roe"}, MALLORY | VERIFIED, False),
    ],
    ids=str,
)
async def test_email_verified_counts_from_the_source_of_the_address(
    claims: dict[str, Any], userinfo: dict[str, Any], allowed: bool, start: Start, provider: FakeOpenId
) -> None:
    provider.claims, provider.userinfo = claims, userinfo
    async with start(allow={"domains": ["corp.example"]}) as service:
        assert (await OAuthFlow(service.client).sign_in()).status_code == (303 if allowed else 403)


async def test_userinfo_cannot_change_what_the_id_token_says(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.userinfo = {"preferred_username": "alice", "iss": "https://evil.example"}
    assert (await flow.sign_in()).status_code == 303
    user = await flow.user()
    assert user is not None
    assert user["name"] == "alice"


@pytest.mark.parametrize("named", [True, False], ids=["with a kid", "without a kid"])
async def test_replaced_key_with_the_same_kid_is_fetched_again(
    named: bool, flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.header = {} if named else {"kid": GONE}
    assert (await flow.sign_in()).status_code == 303
    clock.move(1)
    provider.keys = [jwk.RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})]
    assert (await flow.sign_in()).status_code == 303
    assert provider.count("/jwks") == 2


async def test_bad_signatures_fetch_the_keys_once_a_minute(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in()
    clock.move(1)
    provider.sign_with, provider.header = OTHER_RSA, {"kid": "rsa"}
    for _ in range(4):
        assert (await flow.sign_in()).status_code == 502
    assert provider.count("/jwks") == 2


async def test_wrong_issuer_is_shown_and_logged(
    flow: OAuthFlow, provider: FakeOpenId, caplog: pytest.LogCaptureFixture
) -> None:
    provider.claims = {"iss": "https://other.example/<b>"}
    answer = await flow.sign_in()
    assert "https://other.example/&lt;b&gt;" in answer.text
    assert "https://other.example/" in caplog.text
