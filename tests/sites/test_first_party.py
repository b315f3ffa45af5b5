"""The examples of docs/sites.md for nginx and Caddy, which serve a site's script and hits under its own name."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.sites.models import bucket_of
from app.store import keys
from tests.helpers.proxies import CADDY, NGINX, proxied
from tests.helpers.service import ROOT, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until
from tests.sites.conftest import CHROME

pytestmark = pytest.mark.slow
SITE = "numbers001"
BEFORE = {"nginx": (NGINX, "    location / {{"), "caddy": (CADDY, "  reverse_proxy {upstream}")}
"""A proxy's file of its own, and the line before which the example goes."""


@pytest.fixture
def counter(short_folder: Path, server: Valkey) -> Iterator[str]:
    with server.client as client:
        settings = b'{"name": "Numbers", "hosts": ["127.0.0.1"], "time_zone": "UTC"}'
        record = {"settings": settings, "owner": "nobody", "created": 0, "revision": 0}
        client.hset(keys.site(bucket_of(SITE), SITE), mapping=record)
    options = {"port": "0", "redis_url": server.url, "trusted_proxies": "127.0.0.1"}
    with process(short_folder / "first-party", **options) as service:
        yield service.url()


def example(name: str) -> str:
    """The example for this proxy, with the upstream in the place of https://tally.example."""
    section = (ROOT / "docs/sites.md").read_text().partition("## Under a name of your own")[2].partition("\n## ")[0]
    found = re.search(rf"{name}:\n\n((?:    .*\n|\n)+)", section, re.IGNORECASE)
    assert found is not None
    braces = found[1].replace("{", "{{").replace("}", "}}")
    return braces.replace("https://tally.example", "http://{upstream}").replace("tally.example", "{upstream}")


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_script_and_the_hits_pass_through_the_sites_own_server(
    name: str, counter: str, server: Valkey, tmp_path: Path
) -> None:
    usual, line = BEFORE[name]
    assert line in usual
    template = usual.replace(line, f"{example(name)}\n{line}")
    with proxied(name, counter, tmp_path, template) as own, httpx.Client(base_url=own, timeout=PATIENCE) as visitor:
        script = visitor.get(f"/numbers/{SITE}.js")
        assert (script.status_code, SITE in script.text) == (200, True)
        headers = {"User-Agent": CHROME, "Accept": "application/json"}
        told = visitor.post(f"/numbers/{SITE}", content="p=/a", headers=headers).json()
        assert told == {"page": 1, "site": 1, "visitors": 1}
    with server.client as client:
        totals = keys.site_counts(bucket_of(SITE), SITE, "totals")
        until(lambda: client.hget(totals, "visits") == b"1")
