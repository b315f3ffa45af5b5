"""Who really asks: what a proxy says is believed only of those that the operator has named."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from app.settings import Settings
from app.web import proxies as web_proxies
from app.web.proxies import Proxies
from tests.helpers.cast import PASSWORD, Cast
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE

TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48", "198.51.100.7")


def seen(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = TRUSTED, proto: str = "") -> tuple[str, str]:
    """(the client's address, the scheme) of a request from this peer with these X-Forwarded-For headers."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(b"x-forwarded-proto", proto.encode("latin-1"))] if proto else []
    client = (peer, 4000) if peer is not None else None
    scope: Scope = {"type": "http", "scheme": "http", "client": client, "headers": headers}
    Proxies(trusted).apply(scope, dict(headers))
    return scope["client"][0] if scope["client"] else "", scope["scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # not a proxy of ours
        ("127.0.0.1", ["203.0.113.9"], "127.0.0.1"),  # loopback is not special
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # the left one is the client's own invention
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9,10.0.0.3 , 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.2"], "10.0.0.9"),  # all of them ours: the first that is known
        ("10.0.0.1", ["203.0.113.9, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, rubbish, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:1234"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::5]:1234"], "2001:db8::5"),
        ("10.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
        ("10.0.0.1", ["[]:1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:1234:5"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%<script>"], "10.0.0.1"),
        ("198.51.100.7", ["2001:DB8:0:0::5"], "2001:db8::5"),
        ("2001:db8:1::9", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:2::9", ["203.0.113.9"], "2001:db8:2::9"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),  # of a socket for both kinds
        ("testclient", ["203.0.113.9"], "testclient"),
        (None, ["203.0.113.9"], ""),
    ],
)
def test_the_client_is_the_last_address_that_a_proxy_of_ours_has_seen(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert seen(peer, *forwarded)[0] == client


def test_behind_a_unix_socket_the_proxy_is_named_unix() -> None:
    assert seen(None, "203.0.113.9", trusted=("unix",), proto="https") == ("203.0.113.9", "https")
    assert seen("10.0.0.1", "203.0.113.9", trusted=("unix",)) == ("10.0.0.1", "http")


def test_a_chain_without_end_is_followed_only_so_far() -> None:
    client, _ = seen("10.0.0.1", "203.0.113.9" + ", 10.1.1.1" * 10_000)
    assert client == "10.1.1.1"


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), ("HTTPS", "https"), (" https ", "https"), ("http", "http"), ("", "http"), ("wss", "https"),
     ("https,http", "https"), ("javascript", "http"), ("\xff", "http")],
)  # fmt: skip
def test_scheme_comes_from_a_trusted_proxy(proto: str, scheme: str) -> None:
    assert seen("10.0.0.1", proto=proto)[1] == scheme
    assert seen("192.0.2.1", proto=proto)[1] == "http"


@given(st.lists(st.text(st.characters(max_codepoint=255))))
def test_any_forwarded_value_is_an_address_or_none(forwarded: list[str]) -> None:
    assert seen("192.0.2.1", *forwarded) == ("192.0.2.1", "http")
    client, _ = seen("10.0.0.1", *forwarded)
    assert client == "10.0.0.1" or set(client) <= set("0123456789abcdef:.")


async def devices(settings: Settings, headers: dict[str, str], **options: Any) -> tuple[str, str]:
    """(the name of the cookie, the address in the list of devices) of somebody who signs in."""
    async with running(settings) as service:
        client = service.another_client(headers=headers, **options)
        answer = await client.post("/api/session", json={"username": "bob", "password": PASSWORD})
        assert answer.status_code == 200
        name, _, rest = answer.headers["set-cookie"].partition("=")
        listed = await client.get("/api/account/sessions", headers={"Cookie": f"{name}={rest.partition(';')[0]}"})
        address = listed.json()[0]["address"]
        await client.delete("/api/session", headers={"Cookie": f"{name}={rest.partition(';')[0]}"})
        return name, address


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


async def test_no_proxy_is_trusted_by_default(make_settings: Callable[..., Settings], cast: Cast) -> None:
    for peer in ("192.0.2.1", "127.0.0.1", "10.0.0.1", "::1"):
        assert await devices(make_settings(), FORWARDED, client=(peer, 4000)) == ("tallygate", peer)


async def test_a_named_proxy_is_believed(make_settings: Callable[..., Settings], cast: Cast) -> None:
    settings = make_settings(trusted_proxies="10.0.0.0/8, 2001:db8::/32")
    for peer in ("10.1.2.3", "2001:db8::1"):
        found = await devices(settings, FORWARDED, client=(peer, 4000))
        assert found == ("__Host-tallygate", "203.0.113.9")
    assert await devices(settings, FORWARDED, client=("192.0.2.1", 4000)) == ("tallygate", "192.0.2.1")


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https,http", "https"), ("https, https", "https"), ("HTTP , https", "http"), ("wss", "https"), ("ws", "http")],
)
def test_first_of_several_schemes_counts(proto: str, scheme: str) -> None:
    assert seen("10.0.0.1", "203.0.113.9", proto=proto) == ("203.0.113.9", scheme)


async def test_proxy_name_is_resolved_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"nginx": ["172.18.0.5", "fd00::5"]}

    async def getaddrinfo(name: str, *_: object, **__: object) -> list[Any]:
        if name not in answers:
            raise socket.gaierror("no such name")
        return [(0, 0, 0, "", (address, 0)) for address in answers[name]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(web_proxies, "LOOKUP_INTERVAL", 0.01)
    proxies = Proxies(("dns:nginx", "dns:gone", "10.0.0.0/8"))
    following = asyncio.create_task(proxies.follow_names())

    def believed(peer: str) -> bool:
        scope: Scope = {"client": (peer, 1), "scheme": "http", "headers": [(b"x-forwarded-for", b"203.0.113.9")]}
        proxies.apply(scope, dict(scope["headers"]))
        return bool(scope["client"][0] == "203.0.113.9")

    async with asyncio.timeout(PATIENCE):
        assert not believed("172.18.0.5")
        while not believed("172.18.0.5"):
            await asyncio.sleep(0.01)
        assert believed("fd00::5")
        assert believed("10.1.1.1")
        answers["nginx"] = ["172.18.0.6"]
        while not believed("172.18.0.6"):
            await asyncio.sleep(0.01)
        assert not believed("172.18.0.5")
        answers.clear()
        while believed("172.18.0.6"):
            await asyncio.sleep(0.01)
    following.cancel()


async def test_the_service_looks_its_proxies_up(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(trusted_proxies="dns:localhost")) as service, asyncio.timeout(PATIENCE):
        client = service.another_client(client=("127.0.0.1", 1), headers={"X-Forwarded-Proto": "https"})
        while "strict-transport-security" not in (await client.get("/live")).headers:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("wrong", ["dns:", "dns:two words", "dns:http://nginx", "nginx", "dns:a..b", f"dns:{64 * 'a'}"])
def test_bad_proxy_name_is_refused(make_settings: Callable[..., Settings], wrong: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        make_settings(trusted_proxies=wrong)
