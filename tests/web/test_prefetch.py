"""Prefetch requests, which count no visit."""

import pytest

from app.web.prefetch import is_prefetch


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"sec-purpose": b"something-else"},
        {b"purpose": b"preview"},
        {b"accept": b"application/json", b"user-agent": b"prefetch"},
    ],
)
def test_page_view_is_no_prefetch(headers: dict[bytes, bytes]) -> None:
    assert not is_prefetch(headers)


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
def test_prefetch_is_recognised(headers: dict[bytes, bytes]) -> None:
    assert is_prefetch(headers)
