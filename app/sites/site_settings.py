"""What an owner may set, checked field by field. Pure."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from app.sites.models import Privacy, Site
from app.sites.page_address import CONTROL, PathRules, compare_host
from app.sites.site_calendar import zone

MAX_NAME_LENGTH = 100
MAX_HOSTS = 50
MAX_ENTRIES = 100
MAX_PATHS = 100_000
MAX_RETENTION_DAYS = 36_500
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
PARAMETER = re.compile(r"[^\s&=#\x00-\x1f\x7f]{1,100}")


class BadSetting(ValueError):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


def changed(site: Site, fields: Mapping[str, object]) -> Site:
    """The site with these fields changed. Raises BadSetting; unknown fields are wrong, too."""
    values: dict[str, Any] = {}
    rules: dict[str, Any] = {
        "keep_query": site.rules.keep_query,
        "trailing_slash": site.rules.trailing_slash,
        "lower_case": site.rules.lower_case,
    }
    for name, value in fields.items():
        check = CHECKS.get(name)
        if check is None:
            raise BadSetting(name[:64], "there is no such field")
        (rules if name in rules else values)[name] = check(name, value)
    return replace(site, rules=PathRules(**rules), **values)


def _name(field: str, value: object) -> str:
    text = _text(field, value).strip()
    if not 1 <= len(text) <= MAX_NAME_LENGTH or CONTROL.search(text):
        raise BadSetting(field, f"must have 1 to {MAX_NAME_LENGTH} characters, and no control characters")
    return text


def _hosts(field: str, value: object) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(text.strip().rstrip(".").lower() for text in _texts(field, value, MAX_HOSTS)))
    if not hosts:
        raise BadSetting(field, "must name at least one host")
    for host in hosts:
        _host(field, host)
    return hosts


def _host(field: str, host: str) -> None:
    try:
        plain = compare_host(host)
        if ":" in plain:
            ipaddress.IPv6Address(plain)
            return
    except ValueError:
        plain = ""
    if not HOST.fullmatch(plain):
        raise BadSetting(field, f"{host[:100]!r} is no host name: no scheme, no port, no path")


def _zone(field: str, value: object) -> str:
    text = _text(field, value)
    try:
        zone(text)
    except ValueError:
        raise BadSetting(field, "is no time zone, such as Europe/Berlin") from None
    return text


def _query(field: str, value: object) -> frozenset[str]:
    names = _texts(field, value, MAX_ENTRIES)
    for name in names:
        if not PARAMETER.fullmatch(name):
            raise BadSetting(field, f"{name[:100]!r} is no name of a parameter")
    return frozenset(names)


def _frame(field: str, value: object) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(_texts(field, value, MAX_ENTRIES)))
    for origin in origins:
        try:
            parts = urlsplit(origin)
            good = parts.scheme in {"http", "https"} and origin == f"{parts.scheme}://{parts.netloc}"
            _ = parts.port
        except ValueError:
            good = False
        if not good or not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", parts.netloc):
            raise BadSetting(field, f"{origin[:100]!r} is no origin, such as https://example.org")
    return origins


def _ignore(field: str, value: object) -> tuple[str, ...]:
    networks = tuple(dict.fromkeys(text.strip() for text in _texts(field, value, MAX_ENTRIES)))
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise BadSetting(field, f"{network[:100]!r} is no address or network") from None
    return networks


def _privacy(field: str, value: object) -> Privacy:
    try:
        return Privacy(_text(field, value))
    except ValueError:
        raise BadSetting(field, "must be total or nothing") from None


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadSetting(field, "must be true or false")
    return value


def _number(least: int, most: int) -> Callable[[str, object], int]:
    def check(field: str, value: object) -> int:
        if isinstance(value, float) and value.is_integer():  # 400.0 is a whole number in JSON
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadSetting(field, f"must be a whole number from {least} to {most}")
        return value

    return check


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 2048:
        raise BadSetting(field, "must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadSetting(field, "must be a text") from None
    return value


def _texts(field: str, value: object, most: int) -> list[str]:
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise BadSetting(field, f"must be a list of at most {most} texts")
    return [_text(field, item) for item in value]


CHECKS: dict[str, Callable[[str, object], object]] = {
    "name": _name,
    "hosts": _hosts,
    "time_zone": _zone,
    "keep_query": _query,
    "trailing_slash": _flag,
    "lower_case": _flag,
    "max_paths": _number(1, MAX_PATHS),
    "public": _flag,
    "privacy": _privacy,
    "frame": _frame,
    "ignore": _ignore,
    "retention_days": _number(0, MAX_RETENTION_DAYS),
}
