"""Clients are told of the end of a session, beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.oauth_server.backchannel import EVENT, RETRIES
from app.settings import Settings
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.receiver import Receiver, receiving
from tests.helpers.service import Running, running
from tests.helpers.waiting import eventually
from tests.oauth_server.conftest import SECRET, RelyingParty, clients

REFUSES = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock, receiver: Receiver) -> AsyncIterator[Running]:
    tables = clients()
    for client in ("app", "tv", "private"):
        tables[client] |= {"logout_uri": f"{receiver.url}?logout=backchannel"}
    async with running(make_settings(public_url="http://tallygate.test", clients=tables), clock) as service:
        await make_cast(service)
        yield service


@pytest.fixture
async def app(service: Running) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def told(service: Running, receiver: Receiver, number: int = 0) -> dict[str, Any]:
    """The claims of the logout token that came."""
    await eventually(lambda: len(receiver.received) > number)
    headers, body = receiver.received[number]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    (token,) = parse_qs(body.decode())["logout_token"]
    keys = (await service.client.get("/oauth2/jwks.json")).json()
    decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"])
    assert decoded.header["typ"] == "logout+jwt"
    return dict(decoded.claims)


@pytest.mark.parametrize("client", ["app", "private"])
async def test_sign_out_notifies_clients_with_the_sid_of_the_id_token(
    service: Running, app: RelyingParty, receiver: Receiver, clock: Clock, client: str
) -> None:
    app.client = client
    tokens = await app.sign_in()
    keys = KeySet.import_key_set((await service.client.get("/oauth2/jwks.json")).json())
    id_token = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    await app.browser.delete("/api/session")
    claims = await told(service, receiver)
    assert (claims["sub"], claims["sid"], claims["aud"]) == (id_token["sub"], id_token["sid"], client)
    assert claims["events"] == {EVENT: {}}
    assert claims["iss"] == "http://tallygate.test"
    assert claims["iat"] == int(clock()) < claims["exp"]
    assert "nonce" not in claims
    assert claims["jti"]


async def test_a_device_is_told_of_the_end_of_the_session_that_allowed_it(
    service: Running, app: RelyingParty, receiver: Receiver
) -> None:
    app.client = "tv"
    asked = await app.browser.post("/oauth2/device_authorization", data={"scope": "openid"}, auth=("tv", SECRET))
    form = {"user_code": asked.json()["user_code"], "answer": "allow"}
    assert (await app.browser.post("/device", data=form)).status_code == 200
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    tokens = (await app.token(grant_type=grant, device_code=asked.json()["device_code"])).json()
    keys = KeySet.import_key_set((await service.client.get("/oauth2/jwks.json")).json())
    sid = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims["sid"]
    await app.browser.delete("/api/session")
    claims = await told(service, receiver)
    assert (claims["aud"], claims["sid"]) == ("tv", sid)


@pytest.mark.parametrize("way", ["disabled", "devices", "stranger", "server"])
async def test_every_end_of_a_session_is_sent_to_clients(
    service: Running, app: RelyingParty, receiver: Receiver, way: str
) -> None:
    tokens, other = await app.sign_in(), await signed_in(service, "bob")
    alice = await signed_in(service, "alice")
    bob = await service.state["accounts"].by_name("bob")
    match way:
        case "disabled":
            await alice.patch(f"/api/users/{bob.id}", json={"disabled": True})
        case "devices":
            await other.post("/account/devices/end-others")
        case "stranger":  # somebody else signs in with the same browser
            await app.browser.post("/api/session", json={"username": "charlie", "password": PASSWORD})
        case "server":  # of the client, without the browser's cookie: the session of the hint alone
            query = {"id_token_hint": tokens["id_token"]}
            assert (await service.another_client().get("/oauth2/end-session", params=query)).status_code == 200
            assert (await app.browser.get("/api/session")).status_code == 401
            assert (await other.get("/api/session")).status_code == 200
    assert (await told(service, receiver))["sub"] == bob.id


async def test_authenticating_again_is_no_end_and_sign_out_afterwards_is(
    service: Running, app: RelyingParty, receiver: Receiver, clock: Clock
) -> None:
    tokens = await app.sign_in()
    for _ in range(2):
        clock.move(1)
        await app.browser.post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert (await app.userinfo(tokens["access_token"])).status_code == 200
    refreshed = (await app.refresh(tokens["refresh_token"])).json()
    assert (await app.sign_in())["access_token"]
    assert receiver.received == []
    await app.browser.delete("/api/session")
    assert (await app.userinfo(refreshed["access_token"])).status_code == 401
    assert (await app.refresh(refreshed["refresh_token"])).json()["error"] == "invalid_grant"
    await told(service, receiver)


@pytest.mark.slow
async def test_client_that_does_not_take_it_is_asked_again_and_given_up(
    service: Running, app: RelyingParty, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer = REFUSES
    await app.sign_in()
    await app.browser.delete("/api/session")
    await told(service, receiver)
    logouts = service.state["oauth_server"].backchannel.store
    for number in range(1, len(RETRIES) + 1):
        while len(receiver.received) <= number:  # the attempt before may not be settled yet
            clock.move(RETRIES[-1])
            await asyncio.sleep(0.05)
        await told(service, receiver, number)
    failure = None
    while failure is None:
        failure = await logouts.failure("app")
    assert failure.why.endswith(": 501")
    assert await logouts.claim(clock() + 10_000, 1, 10) == []
    page = await (await signed_in(service, "alice")).get("/admin/clients/app")
    assert "A sign-out did not reach the client" in page.text
