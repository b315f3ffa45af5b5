"""What counts as a visit."""

import pytest

from app.counter.visits import is_visit


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"sec-purpose": b"something-else"},
        {b"purpose": b"preview"},
        {b"accept": b"application/json", b"user-agent": b"prefetch"},
    ],
)
def test_page_view_counts(headers: dict[bytes, bytes]) -> None:
    assert is_visit("GET", headers)


@pytest.mark.parametrize(
    "headers",
    [
        {b"sec-purpose": b"prefetch"},
        {b"sec-purpose": b"prefetch;prerender"},
        {b"sec-purpose": b"Prefetch;anonymous-client-ip"},
        {b"purpose": b"prefetch"},
        {b"x-moz": b"prefetch"},
    ],
)
def test_prefetch_does_not_count(headers: dict[bytes, bytes]) -> None:
    assert not is_visit("GET", headers)


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "get"])
def test_only_get_counts(method: str) -> None:
    assert not is_visit(method, {})
