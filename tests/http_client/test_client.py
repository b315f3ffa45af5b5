"""Where providers may be: nowhere inside the own network, whatever a name leads to."""

import gzip
import tracemalloc

import pytest
from starlette.responses import Response

from app.http_client.client import BadResponse, SafeHttpClient, Unreachable
from app.http_client.public_only import is_public
from app.oauth_client.addresses import is_web_address
from tests.fakes.openid import FakeOpenId
from tests.http_client.conftest import Names

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "192.0.2.1", "fec0::1", "::127.0.0.1", "64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1",
    "192.0.0.192", "2002:c000:c0::1", "2001:db8::1", "3fff::1", "3fff:fff:ffff::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.121.4", "2606:4700:4700::1111", "64:ff9b::101:101", "3ffe::1"])
def test_an_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001"])
async def test_a_private_address_is_not_asked(host: str, provider: FakeOpenId) -> None:
    port = provider.issuer.rpartition(":")[2]
    async with SafeHttpClient(timeout=5, private=False) as client:
        with pytest.raises(Unreachable) as refused:
            await client.request("GET", f"http://{host}:{port}/jwks")
    assert str(refused.value).endswith("PrivateAddress")
    assert not provider.asked


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("host", ["xn--a", "a..b.test", "a" * 70])
async def test_bad_host_name_is_refused(host: str, private: bool) -> None:
    async with SafeHttpClient(timeout=5, private=private) as client:
        with pytest.raises(Unreachable):
            await client.request("GET", f"https://{host}/")


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], []])
async def test_name_of_a_private_address_is_refused(addresses: list[str], resolving: Names) -> None:
    resolving["provider.example"] = addresses
    async with SafeHttpClient(timeout=5, private=False) as client:
        with pytest.raises(Unreachable) as refused:
            await client.request("GET", "https://provider.example/")
    assert str(refused.value).endswith("PrivateAddress")


async def test_private_addresses_are_allowed_by_the_setting(provider: FakeOpenId) -> None:
    async with SafeHttpClient(timeout=5, private=True) as client:
        assert (await client.request("GET", f"{provider.issuer}/jwks")).status == 200


async def test_compressed_response_is_refused(provider: FakeOpenId) -> None:
    bomb = gzip.compress(b"[" + b" " * 20_000_000 + b"]")
    headers = {"Content-Encoding": "gzip"}
    provider.instead["/jwks"] = lambda: Response(bomb, media_type="application/json", headers=headers)
    async with SafeHttpClient(timeout=5, private=True) as client:
        tracemalloc.start()
        with pytest.raises(BadResponse) as refused:
            await client.request("GET", f"{provider.issuer}/jwks")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert "compressed" in str(refused.value)
    assert most < 10_000_000
    assert provider.asked[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("url", "private", "good"),
    [
        ("https://a.example", False, True),
        ("https://a.example:8443/x?y", False, True),
        ("http://a.example", False, False),
        ("http://127.0.0.1:9000", True, True),
        ("ftp://a.example", True, False),
        ("a.example", True, False),
        ("https://", True, False),
        ("https://user@a.example", True, False),
        ("https://a.example/#x", True, False),
        ("https://a.example/\n", True, False),
        ("https://ä.example/", True, False),
        ("https://a.example:0", True, False),
        ("https://a.example:x", True, False),
        ("https://[::1", True, False),
    ],
)
def test_a_web_address_is(url: str, private: bool, good: bool) -> None:
    assert is_web_address(url, private=private) == good
