"""Cookies of a former Flask or Tornado app, each valid for one session here."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

from app.sessions.flask_format import FlaskCookies
from app.sessions.legacy.tornado import TornadoCookies
from app.settings import Settings
from app.web.cookies import read_cookie

LEGACY_METHODS = frozenset({"flask", "tornado"})
"""The `auth_method` of sessions that began with a legacy cookie."""


@dataclass(frozen=True, slots=True)
class LegacyCookie:
    cookie: str
    user: str
    auth_method: str
    digest: str


class LegacyUsers(Protocol):
    """Maps cookies of the former app to users."""

    async def adopt(self, old: LegacyCookie, scope: Scope) -> str | None:
        """The id of the user that the cookie names. Works once per cookie."""

    async def end_all(self, user: str) -> None:
        """Refuses all legacy cookies of this user (id) from now on."""


class LegacyCookies:
    """Reads the cookies that `legacy_flask_secret` and `legacy_tornado_secret` verify."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        flask, tornado = settings.legacy_flask_secret, settings.legacy_tornado_secret
        self._flask = FlaskCookies([flask.get_secret_value()], clock=clock) if flask else None
        self._tornado = TornadoCookies(tornado.get_secret_value(), clock) if tornado else None
        self._name = settings.legacy_cookie
        self._key = settings.legacy_user_key
        self.any = settings.legacy

    def read(self, header: bytes) -> LegacyCookie | None:
        """The valid legacy cookie of a raw Cookie header, with the user's name in it."""
        return self._from_flask(header) or self._from_tornado(header)

    def _from_flask(self, header: bytes) -> LegacyCookie | None:
        name = self._name or "session"
        if self._flask is None or (cookie := read_cookie(header, name.encode())) is None:
            return None
        data = self._flask.loads(cookie)
        return _old(name, cookie, data.get(self._key), "flask") if data is not None else None

    def _from_tornado(self, header: bytes) -> LegacyCookie | None:
        name = self._name or "user"
        if self._tornado is None or (quoted := read_cookie(header, name.encode())) is None:
            return None
        cookie = quoted.strip('"')
        value = self._tornado.loads(name, cookie)
        return _old(name, cookie, self._user(value), "tornado") if value is not None else None

    def _user(self, value: bytes) -> object:
        """The name in a Tornado cookie: a JSON string or object as in Tornado's examples, or plain text."""
        try:
            text = value.decode()
            data = json.loads(text)
        except UnicodeDecodeError:
            return None
        except (ValueError, RecursionError):
            return text
        return data.get(self._key) if isinstance(data, dict) else data


def _old(cookie: str, value: str, user: object, auth_method: str) -> LegacyCookie | None:
    if not isinstance(user, str) or not user:
        return None
    return LegacyCookie(cookie, user, auth_method, hashlib.sha256(value.encode()).hexdigest())
