"""Responses that pages of other sites load: a browser gives them to the page."""

import pytest

from tests.sites.conftest import Desk

PAGE = {"Referer": "https://blog.example/a", "Origin": "https://blog.example", "Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("c/{site}", 200),
        ("c/{site}?p=%00", 400),
        ("c/abcdefghij", 404),
        ("c/{site}.js", 200),
        ("c/{site}/count?p=/a", 200),
        ("g/{site}/count?p=/a", 200),
        ("g/{site}/count", 400),
        ("g/{site}/count.js", 200),
        ("g/{site}/counter/TOTAL.json", 200),
        ("g/{site}/counter/TOTAL.svg", 200),
        ("g/{site}/counter/TOTAL.html", 200),
        ("g/{site}/counter/TOTAL", 400),
        ("busuanzi?jsonpCallback=f", 200),
        ("busuanzi", 400),
        ("busuanzi/api", 200),
        ("busuanzi/2.3/busuanzi.pure.mini.js", 200),
        ("js", 200),
        ("badge/{site}.svg", 200),
        ("badge/{site}.json", 200),
        ("badge/{site}.json?style=round", 400),
        ("badge/abcdefghij.svg", 404),
        ("countapi/hit/some/name", 404),
    ],
)
async def test_pages_of_other_sites_may_load_responses_and_errors(desk: Desk, path: str, status: int) -> None:
    site = await desk.site(public=True)
    answer = await desk.visitor(**PAGE).get("/" + path.format(site=site))
    assert answer.status_code == status
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    if status == 200 or answer.headers["content-type"] not in {"text/html; charset=utf-8", "application/problem+json"}:
        assert answer.headers["content-security-policy"].endswith("frame-ancestors *")


async def test_errors_of_other_addresses_are_for_pages_of_this_service(desk: Desk) -> None:
    answer = await desk.visitor(**PAGE).get("/nowhere")
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
