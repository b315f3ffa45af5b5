"""Checks of values that settings' types do not make. Each raises ValueError."""

import re
from ipaddress import ip_network
from typing import Any

HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
ORIGIN = re.compile(r"https?://([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?/?")
DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
"""The addresses of HTML's `<input type=email>`: none can add a header to a message."""
SENDER_NAME = re.compile(r'[^\x00-\x1f\x7f-\x9f<>",;\\@\u2028\u2029]{0,100}')
PROVIDER_NAME = re.compile(r"(?=.{1,32}$)[a-z0-9]+([_-][a-z0-9]+)*")
TAKEN_PATHS = frozenset([
    "account", "admin", "api", "badge", "busuanzi", "config", "confirm", "countapi", "device", "events",
    "forgot-password", "g", "gateway", "js", "language", "live", "logo", "metrics", "oauth", "oauth2", "ready", "reset",
    "setup", "sign-in", "sign-out", "sign-up", "sites", "static", "verify", "verify-email", "wechat", "welcome",
])  # fmt: skip
"""First parts of the service's own addresses."""


def host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not HOST_NAME.fullmatch(name):
            raise ValueError(f"{name[:64]}: a name or an address alone: no scheme, no port, no *; IPv6 as [::1]")
    return value


BY_NAME = "dns:"
"""What a proxy begins with that is given by its name."""


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for place in value:
        if place.startswith(BY_NAME):
            name = place.removeprefix(BY_NAME)
            if not HOST_NAME.fullmatch(name) or not all(0 < len(label) < 64 for label in name.split(".")):
                raise ValueError(f"{place[:64]}: a host name has to follow {BY_NAME}")
        elif place != "unix":
            ip_network(place, strict=False)
    return value


def origin(value: str | None) -> str | None:
    """An origin, without a path."""
    if value is not None and not ORIGIN.fullmatch(value.lower()):
        raise ValueError("must be a scheme and a host, such as https://sign-in.example.com; no path")
    return value.lower().removesuffix("/") if value is not None else None


def domain(value: str | None) -> str | None:
    if value is not None and not DOMAIN.fullmatch(value.lower()):
        raise ValueError(
            "must be a domain of two labels or more, such as example.com; no scheme, no port, no dot in front"
        )
    return value.lower() if value is not None else None


def provider_names(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Checks only the names: each provider reads its own table, so that a mistake disables only that one."""
    for name in value:
        if not PROVIDER_NAME.fullmatch(name):
            raise ValueError(
                f"{name[:64]}: a provider's name has 1 to 32 small letters and digits, with single - or _ between"
            )
    return value


def free_path(value: str) -> str:
    """A first path segment that none of the service's own URLs begins with. Raises ValueError."""
    if value in TAKEN_PATHS:
        raise ValueError(f"/{value}/ is taken by the service's own addresses")
    return value


def sender(value: str) -> str:
    """An address, or a name and an address in angle brackets."""
    name, _, address = value.rpartition("<")
    bare = address.removesuffix(">") if name else value
    if value and not (SENDER_NAME.fullmatch(name) and EMAIL.fullmatch(bare) and (not name or address.endswith(">"))):
        raise ValueError("must be an address such as sign-in@example.com, or Example <sign-in@example.com>")
    return value
