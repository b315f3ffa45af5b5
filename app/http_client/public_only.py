"""Recognises public addresses (server-side request forgery: OWASP ASVS 5.0, 1.3.6). Pure."""

import ipaddress
import socket

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""IPv6's global unicast. Outside it are site-local addresses and IPv4 addresses in translated forms."""
SPECIAL = ipaddress.ip_network("192.0.0.0/24")
"""IETF protocol assignments (IANA); a cloud's metadata is at 192.0.0.192. Python 3.11 treats most of it as global."""
DOCUMENTATION = ipaddress.ip_network("3fff::/20")
"""RFC 9637; Python 3.11 treats it as global."""


class PrivateAddress(Exception):
    """The host has a private address, or none."""


def is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    embedded = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed in ipaddress.ip_network("64:ff9b::/96"):
        embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    checked = embedded or parsed
    if checked.version == 4:
        given_out = checked not in SPECIAL
    else:
        given_out = checked in GLOBAL_UNICAST and checked not in DOCUMENTATION
    return bool(given_out and checked.is_global and not checked.is_multicast)


def refuse_private(host: str) -> None:
    """Raises PrivateAddress for a host that spells one: a proxy resolves names itself."""
    if _spells_private(host):
        raise PrivateAddress(host)


def _spells_private(host: str) -> bool:
    """Whether the host is this machine, or a private address in any of the spellings that resolvers accept."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(str(ipaddress.ip_address(host.strip("[]"))))
    except ValueError:
        pass
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))  # 127.1, 0x7f000001
    except OSError:
        return False
