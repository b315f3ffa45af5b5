"""A transport that connects to public addresses only (server-side request forgery: OWASP ASVS 5.0, 1.3.6)."""

import asyncio
import ipaddress
import socket
import ssl

import httpx

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""IPv6's global unicast. Outside it are site-local addresses and IPv4 addresses in translated forms."""


class PrivateAddress(httpx.TransportError):
    """The host has a private address, or none."""


class PublicOnlyTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses only, and to the very address that was checked (DNS rebinding).

    Each host has its own connections, because a certificate is checked for one host.
    """

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._tls = tls
        self._limits = limits
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = await public_address(host, request.url.port or 443)
        if host not in self._transports:
            self._transports[host] = direct_transport(self._tls, self._limits)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await self._transports[host].handle_async_request(request)

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def direct_transport(tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


async def public_address(host: str, port: int) -> str:
    """An address of the host. Raises PrivateAddress if any of its addresses is private."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host}: {error}") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise PrivateAddress(host)
    return addresses[0]


def is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    embedded = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed in ipaddress.ip_network("64:ff9b::/96"):
        embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    checked = embedded or parsed
    given_out = checked.version == 4 or checked in GLOBAL_UNICAST
    return bool(given_out and checked.is_global and not checked.is_multicast)
