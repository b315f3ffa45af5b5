"""Pages: Jinja2 templates in the reader's language."""

import re
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.ext import Extension
from starlette.responses import HTMLResponse
from starlette.types import Scope

from app.settings import Settings
from app.web.headers import headers_of
from app.web.i18n import NAMES, Locales, choose
from app.web.static import versions

FORMATS = {"en": "en_GB"}
"""Locales of dates and numbers, where not the language's own."""
TEMPLATES = Path(__file__).parent.parent / "templates"
FORM_USER = "form_user"
"""The field of a form that holds the id of the user whom its page was made for."""
POST_FORM = re.compile(r'<form\b(?=[^>]*method="post")(?![^>]*action="/(?:language|sign-out)")[^>]*>')
"""Forms that act for one user. Changing the language and signing out act for any user of the browser."""


class FormUser(Extension):
    """Adds the user whom a page was made for to its forms: `form_of` refuses them from another one."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        field = f'<input type="hidden" name="{FORM_USER}" value="{{{{ user.id }}}}">'
        return POST_FORM.sub(rf"\g<0>{{% if user %}}{field}{{% endif %}}", source)


class Pages:
    """Renders templates. Each language has its own environment, so that sentences are translated when compiled."""

    def __init__(self, settings: Settings) -> None:
        self._locales = Locales()
        self._versions = versions()
        self._environments = {locale: self._environment(locale, settings) for locale in NAMES}

    def _environment(self, locale: str, settings: Settings) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", FormUser],
        )
        catalog = self._locales.catalogs[locale]
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
            catalog.gettext, catalog.ngettext, newstyle=True
        )
        environment.filters |= {"when": partial(_when, locale), "iso": _iso}
        number = partial(format_decimal, locale=FORMATS.get(locale, locale))
        environment.filters["number"] = lru_cache(maxsize=4096)(number)  # the table of a year has hundreds
        environment.globals.update(
            locale=locale,
            locales=list(NAMES.items()),
            static=self.static,
            user=None,
            flash=None,
            **self._owners(settings),
        )
        return environment

    def static(self, name: str) -> str:
        """The versioned URL of a static file. Raises KeyError if there is no such file."""
        return f"/static/{name}?v={self._versions[name]}"

    def translate(self, locale: str, message: str) -> str:
        return self._locales.translate(locale, message)

    def locale_of(self, scope: Scope) -> str:
        headers = headers_of(scope)
        return choose(headers.get(b"cookie", b""), headers.get(b"accept-language", b""))

    def template(self, locale: str, name: str) -> Template:
        return self._environments[locale].get_template(name)

    def _owners(self, settings: Settings) -> dict[str, Any]:
        """The operator's texts, which every page has."""
        return {
            "announcement": "",
            "environment_label": settings.environment_label,
            "footer": settings.footer,
            "logo": "/logo" if settings.logo_file is not None else self.static("logo.svg"),
            "site_name": settings.site_name,
        }

    def page(self, scope: Scope, name: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
        """Renders a template in the reader's language; not cached, because most pages depend on the user."""
        announcement = scope["state"]["settings"].announcement
        html = self.template(self.locale_of(scope), name).render(
            path=scope["path"], announcement=announcement, **context
        )
        headers = {"Cache-Control": "no-store", "Vary": "Cookie, Accept, Accept-Language"}
        return HTMLResponse(html, status_code, headers)


def _when(locale: str, seconds: float) -> str:
    """A time in UTC, to the minute; a script turns it into the reader's time zone (static/times.js)."""
    moment, locale = datetime.fromtimestamp(seconds, UTC), FORMATS.get(locale, locale)
    return f"{format_date(moment, 'medium', locale)} {format_time(moment, 'short', locale=locale)} UTC"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
