"""The languages, and the choice of one for a request."""

import gettext
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "locale"
SOURCE = "en"
NAMES = {"en": "English", "zh": "中文"}
COOKIE = "locale"
MAX_HEADER_BYTES = 512
"""Bytes of an Accept-Language that are read: results are cached, so their keys have to be bounded."""


def N_(message: str) -> str:  # noqa: N802  gettext's customary name: marks a sentence that is translated later
    return message


class Locales:
    """The catalogs of all languages, loaded once; message ids are English sentences."""

    def __init__(self) -> None:
        self.catalogs: dict[str, gettext.NullTranslations] = {
            code: gettext.translation("messages", FOLDER, [code], fallback=code == SOURCE) for code in NAMES
        }

    def translate(self, locale: str, message: str) -> str:
        return self.catalogs[locale].gettext(message) if message else ""  # that of "" is the catalogue's header


def choose(cookie: bytes, accept_language: bytes) -> str:
    """The language of raw Cookie and Accept-Language headers; the cookie of the language switch wins."""
    return _switched(cookie) or _preferred(accept_language[:MAX_HEADER_BYTES])


def _switched(cookie: bytes) -> str | None:
    if COOKIE.encode() not in cookie:
        return None
    for pair in cookie.decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value in NAMES:
            return value
    return None


@lru_cache(maxsize=1024)
def _preferred(accept_language: bytes) -> str:
    """RFC 9110, 12.5.4, by primary subtag: `zh-Hant-TW` means `zh`."""
    best, best_weight = SOURCE, 0.0
    for item in accept_language.decode("latin-1").split(",")[:20]:
        tag, _, parameter = item.strip().partition(";")
        code = tag.split("-")[0].strip().lower()
        weight = _weight(parameter)
        if code in NAMES and weight > best_weight:
            best, best_weight = code, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
