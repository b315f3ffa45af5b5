"""Functions in the process: called after events, asked before a sign-in; their faults disturb nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.events.event import Record
from app.hooks import in_process
from app.hooks.in_process import MAX_THREADS, InProcess
from app.settings import Settings, SettingsError
from tests.helpers.api import problem
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import eventually
from tests.hooks import functions

BOB = {"username": "bob", "password": PASSWORD}
CHARLIE = {"username": "charlie", "password": PASSWORD}


@pytest.fixture
async def hooked(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Running]:
    monkeypatch.setattr(in_process, "BEFORE_TIMEOUT", 0.1)
    functions.calls.clear()
    fail = getattr(request, "param", "refuse")
    async with running(make_settings(hooks=("tests.hooks.functions",), hooks_fail=fail)) as service:
        await make_cast(service)
        yield service


async def test_functions_are_called_once_for_two_workers(
    hooked: Running, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings(hooks=("tests.hooks.functions",))):
        alice = await signed_in(hooked, "alice")
        await alice.post("/api/config", json={"name": "shop"})
        await alice.put("/api/config/shop/values/a", json=1)
        async with asyncio.timeout(10):
            while ("config.changed") not in [kind for kind, _ in functions.calls]:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        kinds = [kind for kind, _ in functions.calls]
        assert (kinds.count("session.began"), kinds.count("config.changed")) == (1, 1)


async def test_refusal_shows_its_own_sentence(hooked: Running) -> None:
    refused = problem(await hooked.client.post("/api/session", json=CHARLIE), 403)
    assert refused["detail"] == "Charlie may not sign in on Saturdays."
    assert (await hooked.client.get("/api/session")).status_code == 401


async def test_late_function_refuses(hooked: Running) -> None:
    problem(await hooked.client.post("/api/session", json=BOB), 403)


@pytest.mark.parametrize("hooked", ["allow"], indirect=True)
async def test_late_function_is_passed_over_where_the_settings_allow_it(hooked: Running) -> None:
    assert (await hooked.client.post("/api/session", json=BOB)).status_code == 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module_at_all", "does not import"),
        ("1 / 0", "does not import"),
        ("from app.hooks import on\n@on('user.borne')\ndef f(event): pass", "user.borne"),
        ("from app.hooks import before\n@before('breakfast')\ndef f(event): pass", "breakfast"),
    ],
)
def test_bad_module_stops_the_start_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    name = f"hooks_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=told) as refused:
        InProcess([name], "refuse")
    assert "\n" not in str(refused.value)


async def test_plain_functions_that_hang_delay_neither_requests_nor_the_stop(
    make_settings: Callable[..., Settings],
) -> None:
    functions.calls.clear()
    functions.hang.clear()
    try:
        async with running(make_settings(hooks=("tests.hooks.functions",))) as service:
            for number in range(2 * MAX_THREADS):
                await service.client.post("/api/session", json={"username": f"nobody{number}", "password": PASSWORD})
            await eventually(lambda: len(functions.calls) == MAX_THREADS)
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread(len, "")  # what the rest of the service shares is free
                await make_cast(service)
                problem(await service.client.post("/api/session", json=CHARLIE), 403)
    finally:
        functions.hang.set()


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), KeyError("x")])
async def test_whatever_a_function_raises_is_logged(error: BaseException) -> None:
    hooks = InProcess([], "refuse")

    def plain(_: Any) -> None:
        raise error

    async def coroutine(_: Any) -> None:
        raise error

    with capture_logs() as lines:
        for function in (plain, coroutine):
            await hooks._call(function, Record("evt_1", "user.created", 0, {}))
    assert [line["event"] for line in lines] == ["a hook has failed"] * 2
