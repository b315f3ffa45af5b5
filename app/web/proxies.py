"""Who really asks, when the request came through proxies: believed only where the operator has named them."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import Scope

MOST = 32
"""Addresses of an X-Forwarded-For that are looked at, from the nearest on."""


class Proxies:
    """The proxies of `trusted_proxies`. A client can write anything into X-Forwarded-For: the right-most address that
    is not a proxy's is the one that a proxy of ours has seen.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._unix = "unix" in trusted
        self._networks = [ip_network(place, strict=False) for place in trusted if place != "unix"]
        self.any = bool(trusted)

    def apply(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Sets the scope's client and scheme to what a trusted proxy says."""
        peer = scope["client"]
        if not (self._unix if peer is None else self._trusts(peer[0])):
            return
        proto = headers.get(b"x-forwarded-proto", b"").strip().lower()
        if proto in {b"http", b"https"}:
            scope["scheme"] = proto.decode()
        chain = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for address in reversed(chain.decode("latin-1").split(",")[-MOST:]):
            if not _is_address(address.strip()):
                return
            scope["client"] = (address.strip(), 0)
            if not self._trusts(address.strip()):
                return

    def _trusts(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._networks if _same_version(parsed.version, network))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _same_version(version: int, network: IPv4Network | IPv6Network) -> bool:
    return version == network.version
