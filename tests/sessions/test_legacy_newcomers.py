"""Accounts that are made while the former app's cookies are accepted answer to none of them."""

from collections.abc import Callable

from app.settings import Settings
from tests.helpers.service import Running, running
from tests.sessions.opened import check
from tests.sessions.test_legacy import FLASK, TORNADO, app, service, the_old_cookie

__all__ = ["app", "service"]


async def test_legacy_cookie_does_not_sign_in_a_later_sign_up(make_settings: Callable[..., Settings], app: str) -> None:
    settings = make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO, registration="open")
    async with running(settings) as service:
        form = {"username": "carol", "password": "paper lantern over the river", "next": "/", "invitation": ""}
        assert (await service.client.post("/sign-up", data=form)).status_code == 303
        for name in ("carol", "CAROL", "ｃarol"):
            assert await check(service, await the_old_cookie(app, name)) == 401


async def test_legacy_cookie_does_not_sign_in_a_later_administrator(service: Running, app: str) -> None:
    await service.state["accounts"].create("carol", None, first_admin=True, newcomer=True)
    assert await check(service, await the_old_cookie(app, "carol")) == 401


async def test_legacy_cookie_signs_in_an_earlier_account(make_settings: Callable[..., Settings], app: str) -> None:
    async with running(make_settings(registration="open")) as before:
        form = {"username": "carol", "password": "paper lantern over the river", "next": "/", "invitation": ""}
        assert (await before.client.post("/sign-up", data=form)).status_code == 303
    async with running(make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO)) as service:
        assert await check(service, await the_old_cookie(app, "carol")) == 200
