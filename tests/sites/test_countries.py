"""Countries, where the operator names a database of addresses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from app.settings import Settings, SettingsError
from app.sites.countries import Countries
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import running
from tests.sites.conftest import Desk


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """198.51.100.0/24 is in Germany, 2001:db8::/32 is registered in Japan, and 203.0.113.0/24 has no country."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-Country")
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}})
    writer.insert_network(IPSet(["2001:db8::/32"]), {"registered_country": {"iso_code": "JP"}})
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"continent": {"code": "EU"}})
    file = tmp_path / "countries.mmdb"
    writer.to_db_file(str(file))
    return file


async def test_visits_are_listed_by_country(
    make_settings: Callable[..., Settings], database: Path, clock: Clock
) -> None:
    async with running(make_settings(geoip_file=database), clock) as service:
        await make_cast(service)
        desk = Desk(service, await signed_in(service, "bob"), clock)
        site = await desk.site()
        for address in ("198.51.100.7", "198.51.100.8", "2001:db8::1", "203.0.113.1", "192.168.0.1", "unix"):
            await desk.visitor(address).get(f"/c/{site}?p=/a")
        await desk.visitor("198.51.100.9", DNT="1").get(f"/c/{site}?p=/a")
        assert await desk.top(site, "countries") == [("DE", 2, 2), ("JP", 1, 1)]
        assert (await desk.stats(site))["visits"] == 7


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.mmdb"
    file.write_bytes(b"no database")
    with pytest.raises(SettingsError, match="geoip_file"):
        Countries(file)
