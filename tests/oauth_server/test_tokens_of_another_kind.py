"""Tokens, keys and algorithms that are put where others belong."""

import base64
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from app.settings import Settings
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.oauth_server.conftest import SECRET, RelyingParty, answer, clients

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ECKey.generate_key("P-256", {"kid": "k"})


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def hs256(header: dict[str, Any], payload: bytes, public: ECKey) -> str:
    """Signed with a public key as the secret, which everybody knows."""
    text = f"{encoded(orjson.dumps({'alg': 'HS256'} | header))}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(public.as_pem(private=False), text.encode(), 'sha256'))}"


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    tables = clients() | {"signs": {"jwks": {"keys": [KEY.as_dict(private=False)]}, "introspect": True}}
    async with running(make_settings(public_url="http://tallygate.test", clients=tables), clock) as service:
        yield service


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def test_token_is_accepted_only_as_its_own_kind(app: RelyingParty) -> None:
    code = await app.code()
    tokens = await app.sign_in()
    app.client = "jwt"
    signed = (await app.sign_in())["access_token"]
    app.client = "app"
    access, refresh, id_token = (tokens[name] for name in ("access_token", "refresh_token", "id_token"))
    for wrong in (code, refresh, id_token, signed[:-4] + "AAAA", f"{access}x", access.replace("tga_", "tgr_")):
        assert (await app.userinfo(wrong)).status_code == 401
    for wrong in (code, access, id_token, signed):
        assert (await app.refresh(wrong)).json()["error"] == "invalid_grant"
    for wrong in (refresh, access, id_token, signed):
        assert (await app.redeem(wrong)).json()["error"] == "invalid_grant"
    for wrong in (code, id_token):
        said = await app.browser.post("/oauth2/introspect", data={"token": wrong}, auth=("gateway", SECRET))
        assert said.json() == {"active": False}
    for wrong in (access, signed, refresh):
        assert answer(await app.authorize(id_token_hint=wrong))["error"] == "invalid_request"
    assert (await app.redeem(code)).status_code == 200


async def test_id_token_hint_by_another_algorithm_is_refused(app: RelyingParty) -> None:
    id_token = (await app.sign_in())["id_token"]
    (public,) = [key for key in (await app.browser.get("/oauth2/jwks.json")).json()["keys"] if key["alg"] == "ES256"]
    header, payload, signature = id_token.split(".")
    claims = jws.extract_compact(id_token.encode()).payload
    head = {"kid": public["kid"], "typ": "JWT"}
    for hint in (
        f"{header}.{payload}.", f"{header}.{payload}", f"eyJhbGciOiJub25lIn0.{payload}.",
        f"eyJhbGciOiJub25lIn0.{payload}.{signature}",
        hs256(head, claims, ECKey.import_key(public)),
        jws.serialize_compact({"alg": "ES256"} | head, claims, KEY),
        jws.serialize_compact({"alg": "ES256", "jwk": KEY.as_dict(private=False)} | head, claims, KEY),
    ):  # fmt: skip
        assert answer(await app.authorize(id_token_hint=hint))["error"] == "invalid_request"
    assert "code" in answer(await app.authorize(id_token_hint=id_token))


async def test_private_key_jwt_takes_one_assertion_once(app: RelyingParty, clock: Clock) -> None:
    def assertion(key: Any = KEY, head: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(clock())
        claims = {"iss": "signs", "sub": "signs", "aud": "http://tallygate.test", "exp": now + 60, "jti": "1"} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": "k"} | (head or {})
        return jws.serialize_compact(header, orjson.dumps(claims), key, algorithms=[header["alg"]])

    async def asked(text: str, **more: str) -> int:
        form = {"token": "x", "client_assertion": text, "client_assertion_type": ASSERTION_TYPE} | more
        return (await app.browser.post("/oauth2/introspect", data=form)).status_code

    stranger = ECKey.generate_key("P-256", {"kid": "k"})
    unsigned = ".".join((*assertion().split(".")[:2], ""))
    wrong = [
        hs256({"kid": "k"}, jws.extract_compact(assertion().encode()).payload, KEY), assertion(stranger),
        assertion(stranger, {"jwk": stranger.as_dict(private=False)}), unsigned,
        "eyJhbGciOiJub25lIn0" + unsigned[unsigned.index("."):], assertion(iss="app"), assertion(sub="app"),
        assertion(aud="https://evil.example"), assertion(aud=None), assertion(exp=None),
        assertion(exp=int(clock()) - 61), assertion(nbf=int(clock()) + 99), assertion(nbf="x"),
        assertion(exp=int(clock()) + 99_999), assertion(jti=None), assertion(exp="x"), "x", "a.b.c", "é.é.é",
    ]  # fmt: skip
    for text in wrong:
        assert await asked(text) == 401, text
    assert await asked(assertion(), client_id="app") == 401
    assert await asked(assertion(), client_assertion_type="x") == 400
    assert await asked(assertion()) == 200
    assert await asked(assertion()) == 401
    assert await asked(assertion(jti="2", aud=["http://tallygate.test/oauth2/token", "x"])) == 200
    for path in (
        "par",
        "introspect",
        "revoke",
        "device_authorization",
    ):  # RFC 9126, 2, and libraries name their endpoint
        assert await asked(assertion(jti=path, aud=f"http://tallygate.test/oauth2/{path}")) == 200
    with_secret = await app.browser.post("/oauth2/introspect", data={"token": "x"}, auth=("signs", SECRET))
    assert with_secret.status_code == 401
