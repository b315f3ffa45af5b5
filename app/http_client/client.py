"""Asking providers: with limits of time and size, no redirects, and nothing private unless that is allowed."""

import asyncio
import ipaddress
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.oauth_client.errors import BadProviderResponse, ProviderUnavailable
from app.settings import PREFIX, SettingsError

MAX_RESPONSE_BYTES = 512 * 1024
"""Of one answer; the largest that providers give are key sets of some ten thousand."""
UNAVAILABLE_STATUSES = frozenset({429, 500, 502, 503, 504})
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out. Elsewhere are site-local addresses, and IPv4 ones in a form that routers may know."""


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """`what` names the request for the log: a method and an address without its query."""

    what: str
    status: int
    content_type: str
    body: bytes

    def value(self, *types: str) -> Any:
        """The body as JSON, where the Content-Type is one of `types`, or JSON's. Raises BadProviderResponse."""
        if self.content_type not in (types or ("application/json",)):
            raise BadProviderResponse(f"{self.what}: {self.status} with Content-Type {self.content_type[:64]!r}")
        try:
            # Some answers (WeChat's) hold control characters, and say no charset.
            return json.loads(self.body.decode("utf-8"), strict=False)
        except (ValueError, RecursionError):
            raise BadProviderResponse(f"{self.what}: {self.status} with a body that is not JSON") from None

    def json(self, *types: str) -> dict[str, Any]:
        """Likewise, a JSON object. Raises BadProviderResponse."""
        document = self.value(*types)
        if not isinstance(document, dict):
            raise BadProviderResponse(f"{self.what}: {self.status} with JSON that is no object")
        return document


class SafeHttpClient:
    """HTTP to providers, which prove who they are to `trusted(ca_file)`. Raises SettingsError as that does."""

    def __init__(self, *, timeout: float, private: bool, ca_file: Path | None = None) -> None:
        tls = trusted(ca_file)
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            transport=_transport(tls, limits) if private else _PublicOnly(tls, limits),
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            # Compressed, an answer of some KB could be hundreds of MB before its size is known.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tallygate"},
        )

    async def __aenter__(self) -> "SafeHttpClient":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._client.__aexit__(*exception)

    async def get(self, url: str, **options: Any) -> ProviderResponse:
        return await self._ask("GET", url, **options)

    async def post(self, url: str, form: dict[str, str], **options: Any) -> ProviderResponse:
        """Sent once: a code that was sent twice is a code that was stolen, for a provider."""
        return await self._ask("POST", url, data=form, **options)

    async def _ask(self, method: str, url: str, **options: Any) -> ProviderResponse:
        """Raises ProviderUnavailable, BadProviderResponse."""
        what = f"{method} {url.partition('?')[0]}"
        try:
            async with asyncio.timeout(self._timeout), self._client.stream(method, url, **options) as response:
                answer = ProviderResponse(
                    what, response.status_code, _content_type(response), await _body(response, what)
                )
        except TimeoutError:
            raise ProviderUnavailable(f"{what}: no answer within {self._timeout:g} s") from None
        except httpx.ConnectError as error:  # it says what is wrong with a certificate
            raise ProviderUnavailable(f"{what}: {type(error).__name__}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last: a host that is no name
            raise ProviderUnavailable(f"{what}: {type(error).__name__}") from None
        if answer.status in UNAVAILABLE_STATUSES:
            raise ProviderUnavailable(f"{what}: {answer.status}")
        if 300 <= answer.status < 400:
            raise BadProviderResponse(f"{what}: {answer.status}, a redirect, which is not followed")
        return answer


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the public certificate authorities and those of a PEM file. Raises SettingsError."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        reason = "it holds no good PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"oauth_ca_file ({PREFIX}OAUTH_CA_FILE): {ca_file} cannot be used ({reason})") from None
    return context


class PrivateAddress(httpx.TransportError):
    """The host is inside the own network, or nowhere."""


class _PublicOnly(httpx.AsyncBaseTransport):
    """Connects to public addresses only, and to the very address that was looked at: a name may change its mind.

    Each host has connections of its own, because a connection's certificate was checked for one host.
    """

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._tls = tls
        self._limits = limits
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = await _public_address(host, request.url.port or 443)
        if host not in self._transports:
            self._transports[host] = _transport(self._tls, self._limits)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await self._transports[host].handle_async_request(request)

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def _transport(tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


async def _public_address(host: str, port: int) -> str:
    """An address of the host. Raises PrivateAddress where any of them is."""
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


def _content_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _body(response: httpx.Response, what: str) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadProviderResponse(f"{what}: compressed, which was not asked for")
    body = b""
    async for piece in response.aiter_raw(64 * 1024):
        body += piece
        if len(body) > MAX_RESPONSE_BYTES:
            raise BadProviderResponse(f"{what}: more than {MAX_RESPONSE_BYTES} bytes")
    return body
