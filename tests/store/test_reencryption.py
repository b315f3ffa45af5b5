"""A former secret key may be removed: what is kept for long is encrypted anew under the current one."""

from collections.abc import Callable
from typing import Any

from app.settings import Settings
from app.wechat.platform_store import Authorization
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.waiting import eventually

FORMER, CURRENT = "f" * 40, "c" * 40
SUITE = {"appid": "wx-suite", "secret": "secret", "token": "token", "encoding_aes_key": "a" * 43}


async def test_former_key_is_removed_and_nothing_is_lost(make_settings: Callable[..., Settings]) -> None:
    def settings(**secret_keys: Any) -> Settings:
        return make_settings(wechat_platform={"suite": SUITE}, **secret_keys)

    async with running(settings(secret_key=FORMER)) as service:
        cast = await make_cast(service)
        alice = await signed_in(service, "alice")
        await alice.post("/api/config", json={"name": "shop"})
        await alice.put("/api/config/shop/values/key?secret=true", json="former value")
        await alice.put("/api/config/shop/values/key", json="value")
        wanted = {"url": "https://hooks.example.com/", "events": ["user.created"]}
        secret = (await alice.post("/api/webhooks", json=wanted)).json()["secret"]
        await service.state["second_factors"].set_totp(cast.bob.id, "TOTP", 1)
        platform = service.state["wechat"].platforms["suite"]
        await platform.store.add(Authorization("wx-shop", "refresh", 1, ()))
        assert await kept(service, cast.bob.id, secret)

    async def without_the_former() -> bool:
        async with running(settings(secret_key=CURRENT)) as service:
            return await kept(service, cast.bob.id, secret)

    assert not await without_the_former()
    async with running(settings(secret_key=CURRENT, old_secret_keys=(FORMER,))) as service:
        assert await kept(service, cast.bob.id, secret)
        await eventually(without_the_former)

    async with running(settings(secret_key=CURRENT)) as service:
        alice = await signed_in(service, "alice")
        assert (await alice.get("/api/config/shop")).headers["etag"] == '"3"'
        told = (await alice.get("/api/config/shop/history")).json()["versions"]
        assert told[0]["changes"] == [{"key": "key", "secret": True}]  # what former versions held is lost
        assert (await alice.get("/config/shop/compare?from=2&to=3")).status_code == 200


async def kept(service: Running, user_id: str, secret: str) -> bool:
    """Whether the service can read all that was encrypted."""
    alice, delivery = await signed_in(service, "alice"), service.state["hooks_delivery"]
    await delivery.reload()
    account = await service.state["wechat"].platforms["suite"].store.get("wx-shop")
    return (
        (await alice.get("/api/config/shop")).json() == {"key": "value"}
        and [delivery.secrets_of(each) for each in delivery.webhooks.values()] == [[secret]]
        and await service.state["second_factors"].totp_secret(user_id) == "TOTP"
        and account is not None
        and account.refresh_token == "refresh"
    )
