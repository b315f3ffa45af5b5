"""Parses reports of hits. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, parse_form

from app.sites.models import Site
from app.sites.page_address import CONTROL, MAX_ADDRESS_LENGTH, BadAddress, PageAddress, host_of, page_address
from app.sites.referrers import cut, referrer_name

MAX_EVENT_LENGTH = 200
SCREENS = ((640, "phone"), (1024, "tablet"), (1440, "laptop"))
WIDEST = "desktop"
FIELDS = ("u", "p", "r", "e", "w")
MAX_FIELDS = 20


class Exclusion(StrEnum):
    """The reason why a hit is not counted as a visit."""

    BOTS = "bots"
    PREFETCH = "prefetch"
    SPAM = "spam"
    PRIVATE = "private"
    ELSEWHERE = "elsewhere"
    OWN = "own"


class BadHit(ValueError):
    """A malformed hit, which is not counted. The message names the malformed part."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A view of a page, or an event on it."""

    page: PageAddress
    referrer: str
    screen: str = ""
    event: str = ""
    elsewhere: bool = False
    """Whether it comes from a host that is not the site's."""


def hit_of(values: Mapping[str, str], site: Site, referer: bytes, origin: bytes = b"") -> Hit:
    """The hit of `u` or `p`, `r`, `e` and `w`, and of the request's headers. Raises BadHit."""
    address, name = values.get("u") or values.get("p"), "u" if values.get("u") else "p"
    header = referer.decode(errors="replace")
    if not address:
        address, name = header, "Referer"
    if not address:
        raise BadHit("u or p: the page is missing, and there is no Referer")
    if name == "Referer" and "\ufffd" in header:
        raise BadHit("Referer: must be in UTF-8")
    page = page_of(name, address, site)
    host = page.host or host_of(origin.decode("latin-1")) or host_of(header)
    return Hit(
        page,
        referrer=_referrer(values, page, site, named=name != "Referer"),
        screen=screen_class(values.get("w", "")),
        event=event_name(values.get("e", "")),
        elsewhere=bool(host) and host not in site.compare_hosts,
    )


def page_of(name: str, address: str, site: Site) -> PageAddress:
    """The page of the field `name`. Raises BadHit."""
    try:
        return page_address(address, site.rules)
    except BadAddress as error:
        raise BadHit(f"{name}: {error}") from None


def _referrer(values: Mapping[str, str], page: PageAddress, site: Site, *, named: bool) -> str:
    given = values.get("r", "")
    if len(given) > MAX_ADDRESS_LENGTH:
        raise BadHit(f"r: must be at most {MAX_ADDRESS_LENGTH} characters long")
    own = site.compare_hosts | {page.host} if page.host and named else site.compare_hosts
    return referrer_name(given, own) or referrer_name(page.campaign, own)


def event_name(text: str) -> str:
    if len(text) > MAX_EVENT_LENGTH or CONTROL.search(text):
        raise BadHit(f"e: must be at most {MAX_EVENT_LENGTH} characters long, without control characters")
    if text and not text.strip():
        raise BadHit("e: must not be blank")
    return cut(text)


@lru_cache(maxsize=1024)
def screen_class(width: str) -> str:
    """The kind of device by its width in CSS pixels; empty for an invalid width."""
    number = width.partition(",")[0].partition(".")[0].strip()
    if not number.isascii() or not number.isdigit() or len(number) > 5 or int(number) == 0:
        return ""
    return next((name for below, name in SCREENS if int(number) < below), WIDEST)


@lru_cache(maxsize=1024)
def language(accept_language: bytes) -> str:
    """The first language that a browser asks for, without region: `en`."""
    tag = accept_language.decode("latin-1").partition(",")[0].partition(";")[0].strip().partition("-")[0].lower()
    return tag if tag.isascii() and tag.isalpha() and 2 <= len(tag) <= 3 else ""


def asks_for_privacy(headers: Mapping[bytes, bytes]) -> bool:
    """Global Privacy Control, or Do Not Track before it."""
    return headers.get(b"sec-gpc") == b"1" or headers.get(b"dnt") == b"1"


@lru_cache(maxsize=2048)
def query_values(query: bytes) -> Mapping[str, str]:
    """The fields of a query or a form. Raises BadHit where one is not in UTF-8."""
    values: dict[str, str] = {}
    for part in query.split(b"&", MAX_FIELDS)[:MAX_FIELDS]:
        if not part:
            continue
        name, _, value = part.partition(b"=")
        key = _text(name, "the name of a field")
        values.setdefault(key, _text(value, _shown(key)))
    return MappingProxyType(values)


def body_values(body: bytes, content_type: bytes) -> Mapping[str, str]:
    """The fields of a form, of JSON, or of either as plain text. Raises BadHit."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"multipart/form-data":
        return _multipart_values(body, content_type)
    body = body.strip()
    if kind == b"application/json" or body.startswith(b"{"):
        try:
            document = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            raise BadHit("body: is not valid JSON") from None
        if not isinstance(document, dict):
            raise BadHit("body: must be a JSON object")
        return {name: _member(name, document[name]) for name in FIELDS if document.get(name) is not None}
    return query_values(body)


def _multipart_values(body: bytes, content_type: bytes) -> Mapping[str, str]:
    """The fields of a `FormData`; files are ignored."""
    fields: list[Field] = []
    try:
        parse_form({"Content-Type": content_type}, BytesIO(body), fields.append, lambda _: None)
    except FormParserError:
        raise BadHit("body: is no valid multipart form") from None
    values: dict[str, str] = {}
    for field in fields[:MAX_FIELDS]:
        name = _decoded(field.field_name or b"", "the name of a field")
        values.setdefault(name, _decoded(field.value or b"", _shown(name)))
    return values


def _member(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadHit(f"{name}: must be a text")


def _shown(name: str) -> str:
    """The name of a field for an error, which is sent as a header: a line break in it would end the header."""
    return name[:20] if name.isascii() and name.isprintable() else "a field"


def _text(raw: bytes, name: str) -> str:
    return _decoded(unquote_to_bytes(raw.replace(b"+", b" ")), name)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadHit(f"{name}: must be in UTF-8") from None
