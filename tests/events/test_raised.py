"""Who raises which event, and when."""

import asyncio
from collections.abc import Callable
from typing import Any

from app.counter.store import CounterStore
from app.events.event import Record
from app.events.store_watch import watch_store
from app.settings import Settings
from app.sites.models import BUCKETS
from app.store import keys
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey


async def raised(server: Valkey, kind: str, number: int = 1) -> list[dict[str, Any]]:
    """The data of the events of a type, once there are so many."""
    with server.client as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                records = [Record.load(fields[b"event"]) for _, fields in client.xrange(keys.HOOKS_LOG)]
                found = [record.data for record in records if record.type == kind]
                if len(found) >= number:
                    return found
                await asyncio.sleep(0.02)


async def test_an_audit_entry_raises_its_event(service: Running, server: Valkey) -> None:
    await service.client.post("/api/session", json={"username": "nobody", "password": "s3cret s3cret"})
    (data,) = await raised(server, "sign_in.refused")
    assert data == {"user": "", "address": "192.0.2.1", "detail": ""}


async def test_counter_reached_is_raised_once_per_number(
    make_settings: Callable[..., Settings], server: Valkey
) -> None:
    async with running(make_settings(counter_reached=(2, 3, 5))) as service:
        for _ in range(4):
            await service.client.get("/")
        assert await raised(server, "counter.reached", 2) == [
            {"counter": "home", "total": 2}, {"counter": "home", "total": 3},
        ]  # fmt: skip
        store = service.state["store"]
        # Several numbers in one batch; and a batch that comes again, because Redis went back.
        counter = CounterStore(store, store, (2, 3, 5, 100_000_000))
        await counter.apply("another", 1, ["home", 100_000_000])
        with server.client as client:
            client.hset(keys.HITS_TOTALS, "home", 4)
            client.delete(keys.hits_worker("another"))
        await counter.apply("another", 1, ["home", 100_000_000])
        told = await raised(server, "counter.reached", 4)
        assert [each["total"] for each in told] == [2, 3, 5, 100_000_000]


async def test_site_reached_is_raised_for_visits(make_settings: Callable[..., Settings], server: Valkey) -> None:
    assert keys.SITE_BUCKETS == BUCKETS
    async with running(make_settings(site_reached=(2,))) as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        made = await bob.post("/api/sites", json={"name": "Blog", "hosts": ["blog.example"]})
        site = made.json()["id"]
        for number in range(3):
            page = f"https://blog.example/{number}"
            browser = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36"
            headers = {"User-Agent": browser, "Accept": "application/json"}
            visitor = service.another_client(headers=headers)
            assert (await visitor.get(f"/c/{site}", params={"u": page})).status_code == 200
        assert await raised(server, "site.reached") == [{"site": site, "visits": 2}]


async def test_site_reached_is_raised_for_an_import(make_settings: Callable[..., Settings], server: Valkey) -> None:
    async with running(make_settings(site_reached=(2, 10, 100))) as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        site = (await bob.post("/api/sites", json={"name": "Blog", "hosts": ["blog.example"]})).json()["id"]
        for _ in range(2):  # the second one changes nothing
            file = "path,visits\n/a,7\n/b,4\n"
            assert (await bob.post(f"/api/sites/{site}/imports", content=file)).status_code == 201
        told = await raised(server, "site.reached", 2)
        assert [(each["site"], each["visits"]) for each in told] == [(site, 2), (site, 10)]


async def test_a_rotated_key_is_told(service: Running, server: Valkey) -> None:
    signing = service.state["signing_keys"]
    new = {key.kid: key for key in await signing.rotate()}
    told = await raised(server, "key.rotated", 2)
    assert {each["key"]: each["algorithm"] for each in told} == {kid: key.alg for kid, key in new.items()}
    assert all(each["signs_from"] == new[each["key"]].signs_from for each in told)


class Away:
    """A store that says whether it is up; its commands go to the real one."""

    def __init__(self, store: Any) -> None:
        self.up = True
        self.idempotent = store.idempotent


async def test_store_lost_is_raised_once_after_recovery(service: Running, server: Valkey) -> None:
    clock = Clock()
    stores: list[Any] = [Away(service.state["store"]) for _ in range(2)]
    looks = [asyncio.create_task(watch_store(store, 1.0, clock, interval=0)) for store in stores]

    async def looked() -> None:
        """Both have looked at the store, and what they told it has arrived."""
        for _ in range(2):
            for _ in range(20):
                await asyncio.sleep(0)
            await service.state["store"].idempotent("PING")

    async def away(seconds: float) -> None:
        for up in (False, True):
            for store in stores:
                store.up = up
            await looked()
            clock.move(0 if up else seconds)

    await looked()
    began = clock()
    await away(0.5)  # too short
    await away(7.0)
    clock.move(1)
    await away(9.0)
    assert [each["seconds"] for each in await raised(server, "store.back", 2)] == [7.0, 9.0]
    assert [each["since"] - began for each in await raised(server, "store.lost", 2)] == [0.5, 8.5]
    for look in looks:
        look.cancel()
