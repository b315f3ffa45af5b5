"""Sites on a Redis Cluster: their buckets are on several nodes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.settings import Settings
from app.sites.models import bucket_of
from app.store import keys
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import running
from tests.sites.conftest import JSON, Desk
from tests.store.cluster import cluster


@pytest.mark.slow
async def test_sites_of_all_buckets_count_import_and_are_removed(
    short_folder: Path, make_settings: Callable[..., Settings]
) -> None:
    clock = Clock()
    with cluster(short_folder / "sites") as nodes:
        async with running(make_settings(redis_url=nodes.url, countapi=True), clock) as service:
            await make_cast(service)
            desk = Desk(service, await signed_in(service, "bob"), clock)
            sites = [await desk.site() for _ in range(12)]
            owners = {nodes.owner(keys.site(bucket_of(site), site)) for site in sites}
            assert len(owners) > 1
            for site in sites:
                told = await desk.visitor().get(f"/c/{site}?p=/a&r=https://news.example/", headers=JSON)
                assert told.json() == {"page": 1, "site": 1, "visitors": 1}
                assert (await desk.stats(site))["visits"] == 1
            file = b"path,visits,date\n/a,5,2026-01-01\n"
            added = await desk.owner.post(f"/api/sites/{sites[0]}/imports", content=file)
            assert added.status_code == 201
            assert (await desk.stats(sites[0], **{"from": "all"}))["visits"] == 6
            for name in ("first", "second", "third"):
                for value in (1, 2):
                    assert (await desk.visitor().get(f"/countapi/hit/{name}")).json() == {"value": value}
            for site in sites:
                assert (await desk.owner.delete(f"/api/sites/{site}")).status_code == 204
        for site in sites:
            for node in (nodes[number] for number in range(3)):
                with node.client as client:
                    assert list(client.keys(f"*{site}*")) == []
