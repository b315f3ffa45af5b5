"""Passkeys: added, named, removed; a sign-in without a username; what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import alert
from tests.accounts.second_factors.conftest import (
    add_passkey,
    amr,
    by_passkey,
    codes_on,
    failures,
    follow,
    options_on,
    password,
    sign_in_options,
    signed_in_as,
    visitor,
)
from tests.helpers.api import problem
from tests.helpers.authenticator import USER_PRESENT, Authenticator
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

REFUSED = "This passkey was not accepted."
Spoil = Callable[[Authenticator], object]


@pytest.fixture
async def key(bob: httpx.AsyncClient) -> Authenticator:
    """Bob's passkey, registered."""
    authenticator = Authenticator()
    answer = await add_passkey(bob, authenticator)
    assert len(codes_on(await follow(bob, answer))) == 10
    return authenticator


async def test_a_passkey_signs_in_without_a_username(service: Running, key: Authenticator) -> None:
    browser = visitor(service)
    answer = await by_passkey(browser, key, next="/account/devices")
    assert answer.headers["location"] == "/account/devices"
    assert "Max-Age" not in next(one for one in answer.headers.get_list("set-cookie") if one.startswith("tallygate="))
    assert await signed_in_as(browser) == "bob"
    assert await amr(browser) == ["hwk", "user", "mfa"]
    assert "with a passkey" in (await browser.get("/account/devices")).text
    staying = await by_passkey(visitor(service), key, stay="on")
    assert "Max-Age" in next(one for one in staying.headers.get_list("set-cookie") if one.startswith("tallygate="))


async def test_the_options_ask_for_a_verified_user_and_a_discoverable_passkey(
    bob: httpx.AsyncClient, key: Authenticator
) -> None:
    options = options_on(await bob.get("/account/passkeys/new"))
    assert options["rp"]["id"] == "localhost"
    wanted = options["authenticatorSelection"]
    assert (wanted["residentKey"], wanted["userVerification"]) == ("required", "required")
    assert len(options["excludeCredentials"]) == 1
    asked = await sign_in_options(bob)
    assert (asked["userVerification"], asked["rpId"], asked["allowCredentials"]) == ("required", "localhost", [])


async def test_the_api_signs_in_with_a_passkey(service: Running, key: Authenticator) -> None:
    browser = visitor(service)
    credential = json.loads(key.get(await sign_in_options(browser)))
    answer = await browser.post("/api/session/passkey", json={"credential": credential})
    assert answer.json()["user"]["name"] == "bob"
    again = await visitor(service).post("/api/session/passkey", json={"credential": credential})
    assert problem(again, 401)["detail"] == REFUSED
    (passkey,) = (await browser.get("/api/account/second-factors")).json()["passkeys"]
    assert (passkey["name"], passkey["used"] > 0) == ("key", True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: setattr(key, "origin", "http://localhost.evil.example"),
        lambda key: setattr(key, "origin", "https://localhost"),
        lambda key: setattr(key, "rp_id", "evil.example"),
        lambda key: setattr(key, "flags", USER_PRESENT),
        lambda key: setattr(key, "flags", 0),
        lambda key: setattr(key, "key", Authenticator().key),
        lambda key: setattr(key, "id", b"another"),
        lambda key: setattr(key, "user", ""),
        lambda key: setattr(key, "user", "YWxpY2U"),
    ],
    ids=["origin", "scheme", "rp-id", "unverified", "absent", "signature", "id", "no-user", "another-user"],
)
async def test_foreign_passkey_is_refused(service: Running, key: Authenticator, spoil: Spoil) -> None:
    spoil(key)
    browser = visitor(service)
    answer = await by_passkey(browser, key)
    assert (answer.status_code, alert(answer)) == (401, REFUSED)
    assert await signed_in_as(browser) is None
    assert await failures(service) == ["passkey"]


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"id": "x", "response": {}}', '{"id": 1, "response": {}}',
                                  '{"id": "x", "response": {"clientDataJSON": "!"}}', "[" * 5000])  # fmt: skip
async def test_malformed_passkey_response_is_refused(service: Running, bob: httpx.AsyncClient, text: str) -> None:
    answer = await visitor(service).post("/sign-in/passkey", data={"credential": text})
    assert (answer.status_code, alert(answer)) == (401, REFUSED)
    answer = await bob.post("/account/passkeys/new", data={"credential": text, "name": "x"})
    assert (answer.status_code, alert(answer)) == (400, REFUSED)
    too_long = await visitor(service).post("/sign-in/passkey", data={"credential": "x" * 9000})
    assert too_long.status_code == 400


async def test_challenge_is_bound_to_time_use_and_purpose(
    service: Running, bob: httpx.AsyncClient, key: Authenticator
) -> None:
    options = await sign_in_options(bob)
    first, second = key.get(options), key.get(options)
    assert (await visitor(service).post("/sign-in/passkey", data={"credential": first})).status_code == 303
    for replayed in (first, second, key.get(options_on(await bob.get("/account/passkeys/new")))):
        assert (await visitor(service).post("/sign-in/passkey", data={"credential": replayed})).status_code == 401
    # A registration answers the challenge that was made for this user's registration only.
    made = Authenticator().create(options_on(await bob.get("/account/passkeys/new")) | await sign_in_options(bob))
    assert (await bob.post("/account/passkeys/new", data={"name": "x", "credential": made})).status_code == 400
    store = service.state["store"]
    await sign_in_options(bob)
    keys = await store.idempotent("KEYS", "{accounts}:challenge:*")
    assert keys
    lifetimes = [await store.idempotent("TTL", one.decode()) for one in keys]
    assert all(0 < seconds <= 300 for seconds in lifetimes)


async def test_a_copy_of_the_authenticator_is_refused(service: Running, key: Authenticator) -> None:
    copy = replace(key)
    for _ in range(2):
        assert (await by_passkey(visitor(service), key)).status_code == 303
    for count in (0, 1):  # behind, and equal
        copy.count = count
        assert (await by_passkey(visitor(service), copy)).status_code == 401
    assert await failures(service) == ["passkey-cloned"] * 2
    assert (await by_passkey(visitor(service), key)).status_code == 303


async def test_an_authenticator_that_does_not_count_signs_in_again_and_again(
    service: Running, key: Authenticator
) -> None:
    for _ in range(2):
        key.count = -1
        assert (await by_passkey(visitor(service), key)).status_code == 303


async def test_password_alone_does_not_replace_a_passkey(
    service: Running, bob: httpx.AsyncClient, key: Authenticator
) -> None:
    browser = visitor(service)
    page = await follow(browser, await password(browser))
    assert "Use a passkey" in page.text
    assert await signed_in_as(browser) is None
    told = await visitor(service).post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert problem(told, 401)["second_factors"] == ["passkey", "recovery_code"]


async def test_passkeys_are_renamed_and_removed(
    service: Running, bob: httpx.AsyncClient, cast: Cast, key: Authenticator
) -> None:
    (passkey,) = (await bob.get("/api/account/second-factors")).json()["passkeys"]
    named = {"id": passkey["id"], "name": " my   <phone> "}
    assert (await bob.post("/account/passkeys/rename", data=named)).status_code == 303
    assert "my &lt;phone&gt;" in (await bob.get("/account/security")).text
    for bad in ("", "x" * 65, "a\u202eb"):
        answer = await bob.post("/account/passkeys/rename", data={"id": passkey["id"], "name": bad})
        assert answer.status_code == 400
    others = await signed_in(service, "charlie", base_url="http://localhost")
    assert (await others.post("/account/passkeys/rename", data=named)).status_code == 404
    fields = {"factor": "passkey", "id": passkey["id"]}
    assert (await others.post("/account/security/remove", data=fields)).status_code == 404
    assert "my &lt;phone&gt;" in (await bob.get("/account/security/remove", params=fields)).text
    assert (await bob.post("/account/security/remove", data=fields)).status_code == 303
    assert (await bob.get("/account/security/remove", params=fields)).status_code == 404
    assert (await by_passkey(visitor(service), key)).status_code == 401
    assert (await password(visitor(service))).headers["location"] == "/"


async def test_passkey_reauthenticates(
    service: Running, bob: httpx.AsyncClient, key: Authenticator, clock: Clock
) -> None:
    clock.move(601)
    assert (await bob.get("/account/passkeys/new")).headers["location"].startswith("/confirm?next=")
    page = await bob.post("/account/tokens", data={"name": "backup", "days": "30"})
    assert "Confirm with a passkey" in page.text
    fields = {"name": "backup", "days": "30"}
    other = Authenticator()
    charlie = await signed_in(service, "charlie", base_url="http://localhost")
    await add_passkey(charlie, other)
    refused = await bob.post(
        "/account/tokens", data=fields | {"confirm_passkey": other.get(await sign_in_options(bob))}
    )
    assert (refused.status_code, alert(refused)) == (401, REFUSED)
    right = key.get(await sign_in_options(bob))
    assert (await bob.post("/account/tokens", data=fields | {"confirm_passkey": right})).status_code == 303
    assert [one["name"] for one in (await bob.get("/api/account/tokens")).json()] == ["backup"]


async def test_disabled_user_cannot_sign_in_with_a_passkey(service: Running, cast: Cast, key: Authenticator) -> None:
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    assert (await by_passkey(visitor(service), key)).status_code == 401


async def test_passkeys_are_limited_as_passwords_are(service: Running, key: Authenticator) -> None:
    browser = visitor(service)
    for _ in range(50):
        await browser.post("/sign-in/passkey", data={"credential": "x"})
    limited = await by_passkey(browser, key)
    assert limited.status_code == 429
    assert 'action="/sign-in"' in limited.text  # the other ways in stay
    for _ in range(99):
        answer = await browser.post("/api/session/passkey-options")
    assert answer.status_code == 200
    assert problem(await browser.post("/api/session/passkey-options"), 429)["retry_after"] > 0


async def test_public_url_is_the_origin(start: Start) -> None:
    async with start(public_url="https://sign-in.example.com") as service:
        await make_cast(service)
        browser = await signed_in(service, "bob", base_url="http://10.0.0.7")
        key = Authenticator("https://sign-in.example.com", "sign-in.example.com")
        assert (await add_passkey(browser, key)).status_code == 303
        assert (await by_passkey(service.another_client(base_url="http://10.0.0.7"), key)).status_code == 303
        key.origin = "http://10.0.0.7"
        assert (await by_passkey(service.another_client(base_url="http://10.0.0.7"), key)).status_code == 401


async def test_page_without_secure_context_explains_passkeys(service: Running, cast: Cast) -> None:
    for url in ("http://127.0.0.1:8000", "http://sign-in.example.com"):
        browser = await signed_in(service, "bob", base_url=url)
        page = await browser.get("/account/security")
        assert "Add a passkey" not in page.text
        assert f"This page is at {url}." in page.text
        assert "Sign in with a passkey" not in (await service.another_client(base_url=url).get("/sign-in")).text
