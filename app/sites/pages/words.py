"""Names and times of figures in the reader's language."""

from datetime import date

from babel import Locale
from babel.dates import format_skeleton

from app.web.i18n import N_
from app.web.templating import FORMATS

SCREENS = {"phone": N_("Phone"), "tablet": N_("Tablet"), "laptop": N_("Laptop"), "desktop": N_("Desktop")}


def shown_name(locale: str, kind: str, name: str) -> str:
    """`DE` among countries is Germany, `en` among languages English; other names stay."""
    words = Locale.parse(FORMATS.get(locale, locale))
    match kind:
        case "countries":
            return str(words.territories.get(name.upper(), name))
        case "languages":
            return str(words.languages.get(name.lower(), name))
    return name


def time_label(locale: str, interval: str, at: str) -> str:
    """A label under the chart: `14:00`, `28 Nov`, `Nov 2026`."""
    if interval == "hour" and len(at) > 10:
        return at[11:16]
    skeleton = "yMMM" if interval == "month" else "MMMd"
    return format_skeleton(skeleton, date.fromisoformat(f"{at}-01"[:10]), locale=FORMATS.get(locale, locale))
