"""The settings of a site that its owner can change."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from app.sites.models import Privacy, Site
from app.sites.page_address import BIDI, PathRules, compare_host
from app.web.body import Body

MAX_NAME_LENGTH = 100
MAX_HOSTS = 50
MAX_ENTRIES = 100
MAX_ENTRY_LENGTH = 2048
MAX_PATHS = 100_000
MAX_RETENTION_DAYS = 36_500
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
PARAMETER = re.compile(r"[^\s&=#\x00-\x1f\x7f]{1,100}")
LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
NO_CONTROL = rf"\u0000-\u001f\u007f-\u009f\u2028\u2029{BIDI}"
DOMAIN = rf"{LABEL}(\.{LABEL})*"
PORT = ":(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
NETWORKS = (
    {"type": "string", "pattern": rf"^{BYTE}(\.{BYTE}){{3}}(/(3[0-2]|[12]?[0-9]))?$"},
    {"type": "string", "format": "ipv6"},
    {"type": "string", "pattern": "^([0-9A-Fa-f]{1,4}:){1,6}:/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"},
)
"""JSON Schemas of addresses and networks."""
TIME_ZONES = available_timezones() - {"localtime", "Factory"}
"""Without what depends on the machine: its own zone, and one that nobody has set."""
RULES = ("keep_query", "trailing_slash", "lower_case")


def _list_of(check: Callable[[str], str], most: int, least: int = 0) -> BeforeValidator:
    """Checks each text of a list, and drops repetitions. The whole list is named as wrong."""

    def read(value: object) -> list[str]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"must be a list of {least} to {most} texts")
        if not all(isinstance(text, str) and len(text) <= MAX_ENTRY_LENGTH for text in value):
            raise ValueError(f"must be a list of texts of at most {MAX_ENTRY_LENGTH} characters")
        return list(dict.fromkeys(check(text) for text in value))

    return BeforeValidator(read)


def _schema(each: dict[str, object], most: int, description: str, least: int = 0) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "array", "items": each, "minItems": least, "maxItems": most, "description": description}
    )


def _text(pattern: str, most: int) -> dict[str, object]:
    return {"type": "string", "pattern": f"^{pattern}$", "maxLength": most}


def _name(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= MAX_NAME_LENGTH or re.search(f"[{NO_CONTROL}]", text):
        raise ValueError(f"must have 1 to {MAX_NAME_LENGTH} characters, and no control characters")
    return text


def _host(text: str) -> str:
    text = text.strip().rstrip(".").lower()
    try:
        plain = compare_host(text)
        if ":" in plain:
            ipaddress.IPv6Address(plain)
            return text
    except ValueError:
        plain = ""
    if not HOST.fullmatch(plain):
        raise ValueError(f"{text[:100]!r} is no host name: no scheme, no port, no path")
    return text


def _zone(text: str) -> str:
    if text not in TIME_ZONES:
        raise ValueError("is no time zone, such as Europe/Berlin")
    return text


def _parameter(name: str) -> str:
    if not PARAMETER.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is no name of a parameter")
    return name


def _origin(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        good = parts.scheme in {"http", "https"} and origin == f"{parts.scheme}://{parts.netloc}"
        _ = parts.port
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", parts.netloc):
        raise ValueError(f"{origin[:100]!r} is no origin, such as https://example.org")
    return origin


def _network(text: str) -> str:
    text = text.strip()
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:100]!r} is no address or network") from None
    return text


def _whole(value: object) -> object:
    """400.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NAME = rf"^[^\s{NO_CONTROL}]([^{NO_CONTROL}]*[^\s{NO_CONTROL}])?$"
Name = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME, "maxLength": MAX_NAME_LENGTH})
]
Hosts = Annotated[
    list[str],
    _list_of(_host, MAX_HOSTS, least=1),
    _schema(_text(DOMAIN, 253), MAX_HOSTS, "Host names, without scheme and port, also international.", 1),
]
TimeZone = Annotated[
    str,
    AfterValidator(_zone),
    WithJsonSchema({"type": "string", "enum": sorted(TIME_ZONES)}),
]
Parameters = Annotated[
    list[str],
    _list_of(_parameter, MAX_ENTRIES),
    _schema(
        _text(r"[^\s&=#\u0000-\u001f\u007f\u0085\ufeff]+", 100),
        MAX_ENTRIES,
        "Names of parameters that tell pages apart.",
    ),
]
Origins = Annotated[
    list[str],
    _list_of(_origin, MAX_ENTRIES),
    _schema(_text(rf"https?://{DOMAIN}({PORT})?", 270), MAX_ENTRIES, "Whose pages may frame the figures."),
]
Networks = Annotated[
    list[str],
    _list_of(_network, MAX_ENTRIES),
    _schema({"anyOf": NETWORKS}, MAX_ENTRIES, "Addresses and networks such as 192.0.2.0/24, also of IPv6."),
]
WHOLE = BeforeValidator(_whole)


class SiteChanges(Body):
    """Only the fields that are there change."""

    name: Name = ""
    hosts: Hosts = Field(default_factory=list)
    time_zone: TimeZone = "UTC"
    keep_query: Parameters = Field(default_factory=list)
    trailing_slash: bool = False
    lower_case: bool = False
    max_paths: Annotated[int, Field(ge=1, le=MAX_PATHS), WHOLE] = 10_000
    public: bool = False
    privacy: Literal["total", "nothing"] = "total"
    frame: Origins = Field(default_factory=list)
    ignore: Networks = Field(default_factory=list)
    retention_days: Annotated[int, Field(ge=0, le=MAX_RETENTION_DAYS), WHOLE] = 0


class NewSite(SiteChanges):
    name: Name
    hosts: Hosts


def changed(site: Site, changes: SiteChanges) -> Site:
    """The site with the fields changed that are set."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in changes.model_dump(exclude_unset=True).items()
    }
    if "privacy" in fields:
        fields["privacy"] = Privacy(fields["privacy"])
    if "keep_query" in fields:
        fields["keep_query"] = frozenset(fields["keep_query"])
    rules: PathRules = replace(site.rules, **{name: fields.pop(name) for name in RULES if name in fields})
    new = replace(site, rules=rules, **fields)
    return replace(new, compare_hosts=frozenset(compare_host(host) for host in new.hosts))
