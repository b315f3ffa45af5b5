"""Recognises public addresses (server-side request forgery: OWASP ASVS 5.0, 1.3.6). Pure."""

import ipaddress

import httpx

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""IPv6's global unicast. Outside it are site-local addresses and IPv4 addresses in translated forms."""


SPECIAL = ipaddress.ip_network("192.0.0.0/24")
"""IETF protocol assignments (IANA); a cloud's metadata is at 192.0.0.192. Python 3.11 treats most of it as global."""


class PrivateAddress(httpx.TransportError):
    """The host has a private address, or none."""


def is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    embedded = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed in ipaddress.ip_network("64:ff9b::/96"):
        embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    checked = embedded or parsed
    given_out = checked not in SPECIAL if checked.version == 4 else checked in GLOBAL_UNICAST
    return bool(given_out and checked.is_global and not checked.is_multicast)
