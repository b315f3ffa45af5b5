"""What a site leaves behind when it is removed, reset, or keeps less."""

from app.store import keys
from tests.helpers.api import problem
from tests.helpers.valkey import Valkey
from tests.sites.conftest import JSON, Desk


async def test_removal_deletes_all_keys_for_good(desk: Desk, server: Valkey) -> None:
    with server.client as client:
        site = await desk.site(max_paths=3)
        for path in ("/a", "/b", "/c", "/d"):
            await desk.visitor().get(f"/c/{site}?p={path}&r=https://news.example/&w=500")
        await desk.visitor().get(f"/c/{site}?p=/a&e=click")
        await desk.visitor().get(f"/c/{site}?p=/a", headers={"User-Agent": ""})
        token = (await desk.owner.post("/api/account/tokens", json={"name": "t"})).json()["token"]
        desk.clock.move(10 * 86_400)
        await desk.visitor().get(f"/c/{site}?p=/a")
        hits = [
            {"path": "click", "event": True, "created_at": "2020-01-02T00:00:00Z"},
            {"path": "/", "user_agent": "curl/8", "created_at": "2019-01-02T00:00:00Z"},
        ]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await desk.owner.post(f"/g/{site}/api/v0/count", json={"hits": hits}, headers=headers)).is_success
        rows = "path,visits,visitors,date\n/x,5,1,1950-01-01\n/y,1,1,2800-05-05\n"
        assert (await desk.owner.post(f"/api/sites/{site}/imports", content=rows)).is_success
        assert b'"name":"click"' in (await desk.owner.get(f"/api/sites/{site}/export?format=jsonl")).content
        assert (await desk.owner.delete(f"/api/sites/{site}")).status_code == 204
        late = await desk.visitor().get(f"/c/{site}?p=/a")
        assert late.status_code == 404
        assert client.keys(f"*{site}*") == []
        assert (client.zcard(keys.SITES_ALL), client.hgetall(keys.SITES_HOSTS), client.keys("sites-of:*")) == (
            0,
            {},
            [],
        )
    problem(await desk.owner.get(f"/api/sites/{site}"), 404)


async def test_changed_retention_applies_to_earlier_counts(desk: Desk, server: Valkey) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}?p=/a")
    for days, kept in ((30, 31 * 86_400), (0, -1)):
        await desk.owner.patch(f"/api/sites/{site}", json={"retention_days": days})
        with server.client as client:
            details = [key for key in client.keys(f"*{site}:*") if b":d:" in key or b":top:" in key]
            assert len(details) == 2
            assert all(client.ttl(key) <= kept for key in details)
            assert (client.ttl(details[0]) > 0) == (days > 0)


async def test_reset_removes_the_counts_and_keeps_the_site(desk: Desk) -> None:
    site = await desk.site()
    visitor = desk.visitor()
    await visitor.get(f"/c/{site}?p=/a")
    assert (await desk.owner.post(f"/api/sites/{site}/reset")).status_code == 204
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 0
    answer = await visitor.get(f"/c/{site}?p=/a", headers=JSON)
    assert answer.json() == {"page": 1, "site": 1, "visitors": 1}
