"""Signing in with a password and a code of an authenticator app, or a recovery code."""

import httpx
import pyotp
import pytest

from app.accounts.second_factors.totp import qr_code, step_of
from app.sessions.flask_format import FlaskCookies
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, value_of
from tests.accounts.second_factors.conftest import (
    LOCALHOST,
    amr,
    code,
    codes_on,
    failures,
    follow,
    password,
    set_up_app,
    signed_in_as,
    visitor,
)
from tests.helpers.api import problem
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

BOB = {"username": "bob", "password": PASSWORD}
WRONG = "The code is wrong or has been used."


def test_codes_of_the_steps_beside_the_present_one_are_right() -> None:
    secret, now = pyotp.random_base32(32), 1_800_000_000.0
    steps = {
        distance: step_of(secret, pyotp.TOTP(secret).at(int(now) + 30 * distance), now) for distance in range(-2, 3)
    }
    assert steps == {-2: None, -1: 59_999_999, 0: 60_000_000, 1: 60_000_001, 2: None}
    for typed in ("", "12345", "1234567", "१२३४५६", "12 456", "abcdef"):
        assert step_of(secret, typed, now) is None


def test_the_qr_code_has_no_inline_style() -> None:
    picture = qr_code("otpauth://totp/x")
    assert picture.startswith("<svg")
    assert "style=" not in picture


async def test_a_password_alone_does_not_sign_in(service: Running, bob: httpx.AsyncClient, clock: Clock) -> None:
    app, codes = await set_up_app(bob, clock)
    assert len(set(codes)) == 10
    clock.move(30)
    browser = visitor(service)
    answer = await password(browser, next="/account/devices")
    page = await follow(browser, answer)
    assert "Second step" in page.text
    # Nothing of a session exists yet.
    assert await signed_in_as(browser) is None
    assert not any(line.startswith("tallygate=") for line in answer.headers.get_list("set-cookie"))
    assert [one["current"] for one in (await bob.get("/api/account/sessions")).json()] == [True]
    wrong = await code(browser, app.wrong())
    assert (wrong.status_code, error_at(wrong, "code")) == (401, WRONG)
    done = await code(browser, app.code(), "/account/devices")
    assert done.headers["location"] == "/account/devices"
    assert await signed_in_as(browser) == "bob"
    assert await amr(browser) == ["pwd", "otp", "mfa"]
    assert await failures(service) == ["code"]


async def test_code_is_used_once(service: Running, bob: httpx.AsyncClient, clock: Clock) -> None:
    app, _ = await set_up_app(bob, clock)
    first, second = visitor(service), visitor(service)
    for browser in (first, second):
        await password(browser)
    assert (await code(first, app.code())).status_code == 401  # it has proved the app already
    clock.move(60)
    late = app.code(-1)
    assert (await code(first, app.code())).status_code == 303
    assert error_at(await code(second, app.code()), "code") == WRONG
    assert error_at(await code(second, late), "code") == WRONG  # older than a used one
    assert await signed_in_as(second) is None


async def test_a_recovery_code_signs_in_once(service: Running, bob: httpx.AsyncClient, clock: Clock) -> None:
    _, codes = await set_up_app(bob, clock)
    first, second = visitor(service), visitor(service)
    for browser in (first, second):
        await password(browser)
    assert (await code(first, f" {codes[0].upper().replace('-', ' ')} ")).status_code == 303
    assert await signed_in_as(first) == "bob"
    assert error_at(await code(second, codes[0]), "code") == WRONG
    assert "9 codes are left." in (await bob.get("/account/security")).text
    entries = (await service.state["audit"].page()).entries
    assert [entry.event for entry in entries].count("recovery_code_used") == 1
    # A new set makes the former one void; the question is asked first.
    assert "no longer work" in (await bob.get("/account/recovery-codes")).text
    page = await follow(bob, await bob.post("/account/recovery-codes"))
    assert len(codes_on(page)) == 10
    assert (await code(second, codes[1])).status_code == 401
    assert (await code(second, codes_on(page)[0])).status_code == 303
    assert codes_on(await bob.get("/account/security")) == []


async def test_the_step_is_bound_to_the_browser_and_to_the_password(
    service: Running, bob: httpx.AsyncClient, clock: Clock
) -> None:
    app, _ = await set_up_app(bob, clock)
    clock.move(30)
    stranger, browser = visitor(service), visitor(service)
    await password(browser)
    for answer in (await stranger.get("/sign-in/second-factor?next=/account"), await code(stranger, app.code())):
        assert answer.headers["location"].startswith("/sign-in?next=")
    changed = await bob.post("/account/password", data={"current": PASSWORD, "new": "a lantern over rivers"})
    assert changed.status_code == 303
    assert (await code(browser, app.code())).headers["location"].startswith("/sign-in?next=")
    assert await signed_in_as(browser) is None


async def test_code_limit_survives_a_right_password(service: Running, bob: httpx.AsyncClient, clock: Clock) -> None:
    app, codes = await set_up_app(bob, clock)
    clock.move(30)
    browser = visitor(service)
    answers = []
    for _ in range(8):
        await password(browser)
        answers += [(await code(browser, app.wrong())).status_code]
    assert answers[:4] == [401] * 4
    assert answers[-1] == 429
    assert (await code(browser, app.code())).status_code == 429
    service.state["rate_limiter"].ahead = 600
    await password(browser)
    answers = [(await code(browser, app.wrong())).status_code for _ in range(9)]
    assert 429 in answers
    assert (await code(browser, codes[0])).status_code == 429


async def test_api_names_the_missing_factor(service: Running, bob: httpx.AsyncClient, clock: Clock) -> None:
    app, codes = await set_up_app(bob, clock)
    clock.move(30)
    browser = visitor(service)
    told = problem(await browser.post("/api/session", json=BOB), 401)
    assert told["second_factors"] == ["totp", "recovery_code"]
    assert problem(await browser.post("/api/session", json=BOB | {"code": app.wrong()}), 401)["detail"] == WRONG
    assert problem(await browser.post("/api/session", json=BOB | {"code": 1}), 400)["field"] == "code"
    wrong = {"username": "bob", "password": "wrong", "code": app.code()}
    assert "second_factors" not in problem(await browser.post("/api/session", json=wrong), 401)
    assert (await browser.post("/api/session", json=BOB | {"code": app.code()})).status_code == 200
    again = await visitor(service).post("/api/session", json=BOB | {"code": app.code()})
    assert again.status_code == 401
    assert (await visitor(service).post("/api/session", json=BOB | {"code": codes[0]})).status_code == 200
    shown = (await browser.get("/api/account/second-factors")).json()
    assert shown == {"totp": True, "passkeys": [], "recovery_codes": 9, "required": False}


async def test_the_secret_is_encrypted_and_codes_are_hashed(
    service: Running, bob: httpx.AsyncClient, cast: Cast, clock: Clock
) -> None:
    page = await bob.get("/account/totp/new")
    secret = (value_of(page, "sealed") or "")[:20]
    _, codes = await set_up_app(bob, clock)
    store = service.state["store"]
    totp = await store.idempotent("HGETALL", f"{{accounts}}:totp:{cast.bob.id}")
    stored = repr(totp) + repr(await store.idempotent("HGETALL", f"{{accounts}}:recovery-codes:{cast.bob.id}"))
    plain = await service.state["second_factors"].totp_secret(cast.bob.id)
    assert plain not in stored
    assert secret not in stored
    assert not any(one in stored or one.replace("-", "") in stored for one in codes)


@pytest.mark.parametrize("sealed", ["", "x", "A" * 80])
async def test_foreign_totp_secret_is_refused(bob: httpx.AsyncClient, sealed: str) -> None:
    page = await bob.post("/account/totp/new", data={"sealed": sealed, "code": "123456"})
    assert page.status_code == 200
    assert value_of(page, "sealed")
    assert (await bob.get("/api/account/second-factors")).json()["totp"] is False


async def test_removing_the_last_factor_takes_the_codes_along(
    service: Running, bob: httpx.AsyncClient, clock: Clock
) -> None:
    await set_up_app(bob, clock)
    assert "Remove the authenticator app?" in (await bob.get("/account/security/remove?factor=totp")).text
    assert (await bob.post("/account/security/remove", data={"factor": "totp"})).status_code == 303
    assert (await bob.post("/account/security/remove", data={"factor": "totp"})).status_code == 404
    assert (await bob.post("/account/security/remove", data={"factor": "x"})).status_code == 400
    assert (await bob.post("/account/recovery-codes")).status_code == 409
    shown = (await bob.get("/api/account/second-factors")).json()
    assert (shown["totp"], shown["recovery_codes"]) == (False, 0)
    assert (await password(visitor(service))).headers["location"] == "/"


async def test_the_proof_of_a_user_with_a_second_factor_is_password_and_code(
    service: Running, bob: httpx.AsyncClient, clock: Clock
) -> None:
    app, codes = await set_up_app(bob, clock)
    clock.move(601)
    page = await bob.post("/account/recovery-codes")
    assert page.status_code == 401
    assert 'name="confirm_code"' in page.text
    for typed in ("", app.wrong()):
        page = await bob.post("/account/recovery-codes", data={"confirm_password": PASSWORD, "confirm_code": typed})
        assert error_at(page, "confirm_code") == WRONG
        assert error_at(page, "confirm_password") is None
    fields = {"confirm_password": PASSWORD, "confirm_code": app.code()}
    assert (await bob.post("/account/recovery-codes", data=fields)).status_code == 303
    assert await amr(bob) == ["pwd", "otp", "mfa"]
    assert codes


async def test_administrator_removes_second_factors(
    service: Running, cast: Cast, bob: httpx.AsyncClient, clock: Clock
) -> None:
    await set_up_app(bob, clock)
    alice = await signed_in(service, "alice")
    page = f"/admin/users/{cast.bob.id}"
    assert "Authenticator app" in (await alice.get(page)).text
    assert "Remove the second factors of bob?" in (await alice.get(f"{page}/remove-factors")).text
    assert (await alice.post(page, data={"action": "remove-factors", "next": page})).status_code == 303
    assert (await password(visitor(service))).headers["location"] == "/"
    assert (await alice.delete(f"/api/users/{cast.bob.id}/second-factors")).status_code == 404
    await set_up_app(bob, clock)
    assert (await bob.delete(f"/api/users/{cast.bob.id}/second-factors")).status_code == 403
    assert (await alice.delete(f"/api/users/{cast.bob.id}/second-factors")).status_code == 204
    entries = (await service.state["audit"].page()).entries
    removed = [(entry.user, entry.actor, entry.detail) for entry in entries if entry.event == "factor_removed"]
    assert removed == [(cast.bob.id, cast.alice.id, "all")] * 2


@pytest.mark.parametrize(("required", "concerned"), [("everybody", "bob"), ("administrators", "alice")])
async def test_user_without_a_required_factor_can_only_enrol(
    start: Start, clock: Clock, required: str, concerned: str
) -> None:
    async with start(second_factor=required) as service:
        await make_cast(service)
        browser = visitor(service)
        fields = {"username": concerned, "password": PASSWORD, "next": "/account/devices"}
        answer = await browser.post("/sign-in", data=fields)
        assert answer.headers["location"] == "/account/security"
        assert "needs a second factor" in (await browser.get("/account/security")).text
        for path in ("/account", "/account/devices", "/sites", "/account/tokens"):
            assert (await browser.get(path)).headers["location"] == "/account/security"
        told = problem(await browser.get("/api/account"), 401)
        assert told["detail"] == "Your account needs a second factor. Set one up first."
        assert (await browser.get("/api/session")).status_code == 401
        assert (await browser.get("/sign-in")).headers["location"] == "/account/security"
        await set_up_app(browser, clock)
        assert await signed_in_as(browser) == concerned
        done = await browser.post("/account/security/continue")
        assert done.headers["location"] == "/account/devices"
        assert (await browser.post("/account/security/remove", data={"factor": "totp"})).status_code == 409


async def test_administrators_alone_need_one_where_it_says_so(start: Start) -> None:
    async with start(second_factor="administrators") as service:
        await make_cast(service)
        browser = visitor(service)
        assert (await password(browser)).headers["location"] == "/"
        assert await signed_in_as(browser) == "bob"


async def test_a_reset_link_leaves_the_second_factor(
    service: Running, cast: Cast, bob: httpx.AsyncClient, clock: Clock
) -> None:
    await set_up_app(bob, clock)
    stored = await service.state["accounts"].password_hash(cast.bob.id)
    secret, _ = await service.state["reset_links"].create(cast.bob.id, stored)
    new = "a lantern over rivers"
    assert (await visitor(service).post("/reset", data={"token": secret, "password": new})).status_code == 303
    answer = await visitor(service).post("/sign-in", data={"username": "bob", "password": new})
    assert answer.headers["location"].startswith("/sign-in/second-factor")


async def test_legacy_cookie_does_not_skip_the_second_factor(start: Start, clock: Clock) -> None:
    secret = "the former app's key"
    async with start(legacy_flask_secret=secret, legacy_user_key="user") as service:
        await make_cast(service)
        session = {"user": "bob"}
        cookie = FlaskCookies([secret], clock=clock).dumps(session)
        assert await signed_in_as(service.another_client(cookies={"session": cookie})) == "bob"
        bob = await signed_in(service, "bob", base_url=LOCALHOST)
        await set_up_app(bob, clock)
        clock.move(1)
        again = FlaskCookies([secret], clock=clock).dumps(session)
        assert await signed_in_as(service.another_client(cookies={"session": again})) is None
