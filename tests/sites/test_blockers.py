"""What blockers with EasyList and EasyPrivacy let pass, as Brave's engine reads them."""

import pytest

from app.settings import Settings

braveblock = pytest.importorskip("braveblock", reason="it has wheels for Python 3.11 on x86-64 alone")
PAGE = "https://blog.example/2026/first"
ID = "numbers001"
ADDRESSES = {
    "script": (f"c/{ID}.js", f"c/{ID}/main.js", f"g/{ID}/count.js", "busuanzi/2.3/busuanzi.pure.mini.js", "js"),
    "image": (f"c/{ID}?u=https%3A%2F%2Fblog.example%2Fa&r=&w=1600", f"g/{ID}/count?p=%2Fa&r=&b=0", f"badge/{ID}.svg"),
    "xmlhttprequest": (
        f"c/{ID}",
        f"c/{ID}/count?p=/a",
        f"g/{ID}/counter/%2Fa.json",
        "busuanzi/api",
        "countapi/hit/a/b",
    ),
    "sub_frame": (f"sites/{ID}", f"g/{ID}/counter/%2Fa.html"),
    "ping": (f"c/{ID}", f"g/{ID}/count?p=%2Fa"),
}
"""What pages ask for, by how they ask."""


class Blocker:
    def __init__(self) -> None:
        self._engine = braveblock.Adblocker()

    def blocked(self, host: str) -> set[tuple[str, str]]:
        """The addresses at this host that a page cannot ask for."""
        return {
            (kind, path)
            for kind, paths in ADDRESSES.items()
            for path in paths
            if self.blocks(f"https://{host}/{path}", kind)
        }

    def blocks(self, url: str, kind: str) -> bool:
        return bool(self._engine.check_network_urls(url=url, source_url=PAGE, request_type=kind))


@pytest.fixture(scope="module")
def blocker() -> Blocker:
    return Blocker()


def test_lists_know_the_names_of_other_counters(blocker: Blocker) -> None:
    assert blocker.blocks("https://blog.goatcounter.com/count?p=/a", "image")
    for name in ("umami.js", "beacon.js"):
        assert blocker.blocks(f"https://tally.example/{name}", "script")


def test_lists_block_of_ours_only_beacons_to_another_site(blocker: Blocker) -> None:
    assert blocker.blocked("tally.example") == {("ping", path) for path in ADDRESSES["ping"]}


def test_lists_block_nothing_that_a_site_passes_on_itself(blocker: Blocker) -> None:
    assert blocker.blocked("blog.example") == set()
    assert Settings.model_fields["collect_path"].default == "c"
    for path, kind in ((f"{ID}.js", "script"), (ID, "ping"), (f"{ID}?p=/a", "image"), (ID, "xmlhttprequest")):
        assert not blocker.blocks(f"https://blog.example/numbers/{path}", kind)
