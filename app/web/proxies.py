"""The client's address and scheme behind reverse proxies: believed only from `trusted_proxies`."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, inet_pton

from starlette.types import Scope

from app.settings.checks import BY_NAME

TRUSTED_PEER = "tallygate.trusted_peer"
"""The scope key that is there when one of `trusted_proxies` has sent the request itself."""
SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
"""What X-Forwarded-Proto may say. Of a list the first counts: the scheme that the client used, as in Django."""
FORWARDED_CLIENT = "tallygate.forwarded_client"
"""The scope key that is there when that proxy has also named the client's address."""
LOOKUP_INTERVAL = 2.0
"""Seconds between two look-ups of the names of proxies: a recreated container has a new address."""
MAX_FORWARDED_ADDRESSES = 32
"""Addresses of an X-Forwarded-For that are read, from the right."""
MAX_ADDRESS_LENGTH = 64
"""Characters of an address: none is longer."""
MAX_CACHED_CHAINS, MAX_CACHED_CHAIN_BYTES = 16_384, 100
"""Values of X-Forwarded-For whose client is cached: parsing an address takes as long as a hit of a site."""


class Proxies:
    """The proxies of `trusted_proxies`. A client can write anything into X-Forwarded-For, so the right-most address
    that is no trusted proxy is the client's.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._unix = "unix" in trusted
        self.names = [place.removeprefix(BY_NAME) for place in trusted if place.startswith(BY_NAME)]
        self._networks = [ip_network(p, strict=False) for p in trusted if p != "unix" and not p.startswith(BY_NAME)]
        self._named: frozenset[IPv4Address | IPv6Address] = frozenset()
        self._is_trusted_peer = lru_cache(maxsize=256)(self._trusts_text)
        self._cached_client = lru_cache(maxsize=MAX_CACHED_CHAINS)(self._client_of)
        self.any = bool(trusted)

    def apply(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Sets the scope's client and scheme from the headers of a trusted proxy."""
        peer = scope["client"]
        if not (self._unix if peer is None else self._is_trusted_peer(peer[0])):
            return
        scope[TRUSTED_PEER] = True
        proto = headers.get(b"x-forwarded-proto")
        if proto is not None:
            proto = proto.partition(b",")[0].strip().lower()
            if proto in SCHEMES:
                scope["scheme"] = SCHEMES[proto]
        chain = headers.get(b"x-forwarded-for")
        if chain is None:
            return
        if len(headers) != len(scope["headers"]):  # one of the headers came several times
            chain = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        find = self._cached_client if len(chain) <= MAX_CACHED_CHAIN_BYTES else self._client_of
        client = find(chain)
        if client is not None:
            scope["client"] = (client, 0)
            scope[FORWARDED_CLIENT] = True

    async def follow_names(self) -> None:
        """Keeps the addresses of the names for as long as it runs. A name that is not found has none."""
        while self.names:
            found = frozenset().union(*[await _addresses(name) for name in self.names])
            if found != self._named:
                self._named = found
                self._is_trusted_peer.cache_clear()
                self._cached_client.cache_clear()
            await asyncio.sleep(LOOKUP_INTERVAL)

    def _client_of(self, chain: bytes) -> str | None:
        """The right-most address that is no trusted proxy; the one before what is no address."""
        client = None
        for text in reversed(chain.decode("latin-1").split(",")[-MAX_FORWARDED_ADDRESSES:]):
            written = _without_port(text.strip()[:MAX_ADDRESS_LENGTH])
            address = _address(written)
            if address is None:
                break
            client = str(address) if ":" in written else written  # IPv4 is written in one way
            if not self._trusts(address):
                break
        return client

    def _trusts_text(self, text: str) -> bool:
        address = _address(text)
        return address is not None and self._trusts(address)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        for network in self._networks:  # a generator costs as much as the comparison
            if address in network:
                return True
        return bool(self._named) and address in self._named


async def _addresses(name: str) -> frozenset[IPv4Address | IPv6Address]:
    try:
        async with asyncio.timeout(LOOKUP_INTERVAL):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:  # of the resolver, or of time
        return frozenset()
    return frozenset(address for *_, place in found if (address := _address(str(place[0]))) is not None)


def _without_port(text: str) -> str:
    """Azure's proxies write 192.0.2.1:4711 and [2001:db8::1]:4711."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """None if the text is no address. A dual-stack socket's ::ffff:192.0.2.1 is IPv4."""
    try:
        return IPv4Address(inet_pton(AF_INET, text))  # five times as fast as ip_address
    except (OSError, ValueError):
        pass
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    # A zone index is free text from a header: it must not reach a log or a page.
    return address.ipv4_mapped or (None if address.scope_id else address)
