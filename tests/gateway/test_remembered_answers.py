"""Answers that let a request pass are remembered: they cost nothing in Redis, and end with what they depend on."""

import pytest

import app.gateway.service
from app.gateway.service import Gateway
from tests.gateway.conftest import Browser
from tests.helpers.cast import Cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running


async def test_repeated_request_needs_no_redis_and_is_counted(browser: Browser, service: Running) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    gateway, store = service.state["gateway"], service.state["store"]
    await browser.verify("/page")
    await gateway.store.add_answers(gateway.counts)
    commands = store.commands
    for _ in range(3):
        assert (await browser.verify("/page")).status_code == 200
        assert (await browser.verify("/public/x")).status_code == 200
    assert store.commands == commands
    assert gateway.counts == {f"{gateway.fingerprints[4]}:allow": 3, f"{gateway.fingerprints[0]}:allow": 3}
    await browser.verify("/bob", Accept="*/*")
    charlie = Browser(service)
    await charlie.verify("/bob")
    await gateway.store.add_answers(gateway.counts)
    counts = await gateway.store.answers()
    assert counts[f"{gateway.fingerprints[1]}:allow"] == counts[f"{gateway.fingerprints[1]}:sign_in"] == 1


async def test_cached_answers_end_with_their_sources(
    browser: Browser, service: Running, cast: Cast, clock: Clock
) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    inside = {"X-Forwarded-For": "198.51.100.7"}
    for _ in range(3):
        assert (await browser.verify("/vault")).status_code == 200
        assert (await browser.verify("/office", **inside)).status_code == 200
    assert (await browser.verify("/office")).status_code == 403, "the client's address is another one"
    assert (await browser.verify("/vault", **{"X-Forwarded-Proto": "gopher"})).status_code == 400
    await service.state["users"].set_groups(cast.bob.id, ("staff",))
    assert (await browser.verify("/vault")).headers["remote-groups"] == "staff"
    token = (await browser.verify("/vault")).headers["x-tallygate-identity"]
    clock.move(61)
    assert (await browser.verify("/vault")).headers["x-tallygate-identity"] != token
    clock.move(540)
    assert (await browser.verify("/vault")).status_code == 302
    assert (await browser.verify("/page")).status_code == 200
    await service.state["sessions"].end_all(cast.bob.id)
    assert (await browser.verify("/page")).status_code == 302


async def test_requests_with_tokens_take_no_room_from_those_of_browsers(
    browser: Browser, service: Running, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.gateway.service, "MAX_CACHED_REQUESTS", 2)
    await browser.sign_in("bob")
    await browser.enter()
    for _ in range(2):
        assert (await browser.verify("/page")).status_code == 200
    secret, _ = await service.state["tokens"].create(cast.bob.id, "git")
    for number in range(6):
        answer = await browser.verify(f"/{number}", Authorization=f"Bearer {secret}", Accept="*/*")
        assert answer.status_code == 200
    monkeypatch.delattr(Gateway, "judge_fast")
    assert (await browser.verify("/page")).status_code == 200
