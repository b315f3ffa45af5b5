"""Normalises page addresses: one page has one path, however it was linked. Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from app.lazy import LazyModule

if TYPE_CHECKING:
    import idna
else:
    idna = LazyModule("idna")

MAX_ADDRESS_LENGTH = 2048
"""Characters of an address or a path."""
URL = re.compile(r"[a-z][a-z0-9+.-]*://|(?:https?|about|blob|data|javascript|mailto):", re.IGNORECASE)
"""The beginning of a URL. Anything else is a path, as `Category:Foo` of a wiki, or `blog.example:8080/a`."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BIDI = "\u202a-\u202e\u2066-\u2069"
"""Characters that turn the direction of the text around them."""
STAYS_ENCODED = re.compile(rf"[\x00-\x20%?#\x7f-\xa0\u2028\u2029{BIDI}]")
"""Characters that stay percent-encoded: decoded, they would change what the path means or cannot be seen."""
ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
UNSEEN = re.compile(f"[ \xa0{BIDI}]")
"""Browsers send these encoded, programs as they are."""
TRACKING = frozenset(
    {
        "fbclid",
        "gclid",
        "dclid",
        "gbraid",
        "wbraid",
        "msclkid",
        "ttclid",
        "twclid",
        "li_fat_id",
        "yclid",
        "igshid",
        "ref",
        "mc_cid",
        "mc_eid",
        "nsukey",
        "isappinstalled",
        "continueflag",
    }
)
TRACKING_PREFIXES = ("utm_", "_x_tr_", "__cf_chl_")
TRACKING_VALUES = frozenset({("from", "singlemessage"), ("from", "groupmessage")})
"""Parameters that WeChat adds to a shared page."""
REFERRER_PARAMETERS = ("utm_source", "ref", "src", "source")


class BadAddress(ValueError):
    """An address that cannot be counted; the message is the reason."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """A site's rules for telling its pages apart."""

    keep_query: frozenset[str] = frozenset()
    """The names of query parameters that make a page of its own; `*` stands for all."""
    trailing_slash: bool = False
    """Whether `/a/` is another page than `/a`."""
    lower_case: bool = False


@dataclass(frozen=True, slots=True)
class PageAddress:
    host: str
    """Empty if only a path is known."""
    path: str
    campaign: str = ""
    """The source in the query, used without a referrer."""


@lru_cache(maxsize=2048)
def page_address(text: str, rules: PathRules) -> PageAddress:
    """The page of an absolute URL or of a path. Raises BadAddress."""
    parts = _split(text)
    if parts.scheme and parts.scheme not in {"http", "https"}:
        raise BadAddress("must be an http or https URL, or a path")
    if parts.scheme and not parts.hostname:
        raise BadAddress("has no host")
    path = _decoded("/" + parts.path.lstrip("/"))
    if not rules.trailing_slash:
        path = path.rstrip("/") or "/"
    query = _kept_query(parts.query, rules)
    path = f"{path}?{query}" if query else path
    return PageAddress(host_name(parts), path.lower() if rules.lower_case else path, _campaign(parts.query))


def asked_path(text: str, rules: PathRules) -> str:
    """The path that a URL of ours names; in it, bytes that are not UTF-8 are U+FFFD already. Raises BadAddress."""
    if "\ufffd" in text:
        raise BadAddress("must be in UTF-8")
    return page_address(text, rules).path


@lru_cache(maxsize=2048)
def host_of(url: str) -> str:
    """The host of an absolute URL in its compare form; empty for anything else."""
    try:
        parts = _split(url)
    except BadAddress:
        return ""
    return host_name(parts) if parts.scheme in {"http", "https"} else ""


def host_name(parts: SplitResult) -> str:
    """In lower case, with international names in their ASCII form, without port, final dot and `www.`."""
    try:
        return compare_host(parts.hostname or "")
    except ValueError:
        raise BadAddress("has a malformed host name") from None


def compare_host(host: str) -> str:
    """The normal form of a host name for comparisons. Raises ValueError."""
    host = host.strip().rstrip(".").lower()
    if not host.isascii():
        # As browsers do (UTS 46): Python's codec takes ß for ss.
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        host = ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels)
    return host.removeprefix("www.") if host.count(".") > 1 else host


def _split(text: str) -> SplitResult:
    if len(text) > MAX_ADDRESS_LENGTH:
        raise BadAddress(f"must be at most {MAX_ADDRESS_LENGTH} characters long")
    if CONTROL.search(text):
        raise BadAddress("must not contain control characters")
    text = text.partition("#")[0].strip(" ")
    try:
        text.encode()
        parts = urlsplit(text if URL.match(text) else "/" + text.lstrip("/"))
        _ = parts.port
    except ValueError:
        raise BadAddress("is not a valid address") from None
    return parts


def _decoded(text: str) -> str:
    """Readable: escapes of UTF-8 are decoded where that changes no meaning, the others written in one way."""
    text = ESCAPES.sub(_decode_escapes, text) if "%" in text else text
    return UNSEEN.sub(lambda found: quote(found[0]), text)


def _decode_escapes(match: re.Match[str]) -> str:
    try:
        decoded = unquote_to_bytes(match[0]).decode()
    except UnicodeDecodeError:
        raise BadAddress("must be in UTF-8") from None
    return STAYS_ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), decoded).replace(
        "/", "%2F"
    )


def _parameters(query: str) -> list[tuple[str, str, str]]:
    """(name, value, as it was written) of each parameter."""
    found = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        found.append((_lenient(name), _lenient(value), part))
    return found


def _lenient(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")


def _kept_query(query: str, rules: PathRules) -> str:
    if not query or not rules.keep_query:
        return ""
    everything = "*" in rules.keep_query
    kept = [
        _decoded(written)
        for name, value, written in _parameters(query)
        if written and (everything or name in rules.keep_query) and not is_tracking(name, value)
    ]
    return "&".join(kept)


def is_tracking(name: str, value: str = "") -> bool:
    """Whether a parameter is for tracking, and does not identify a page."""
    name = name.lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIXES) or (name, value.lower()) in TRACKING_VALUES


def _campaign(query: str) -> str:
    if "ref" not in query and "s" not in query:
        return ""
    found = {name: value for name, value, _ in _parameters(query) if value and name in REFERRER_PARAMETERS}
    return next((found[name] for name in REFERRER_PARAMETERS if name in found), "")
