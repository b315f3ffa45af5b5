"""Moving over: cookies of the Flask or Tornado app that was here before, each good for one session of ours."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from app.settings import Settings
from app.web.cookies import read_cookie
from app.web.flask_format import FlaskCookies
from app.web.tornado_format import TornadoCookies


@dataclass(frozen=True, slots=True)
class OldCookie:
    """`digest` tells cookies apart by what was signed: the signature itself can be written in several ways."""

    cookie: str
    user: str
    how: str
    digest: str


class LegacyCookies:
    """Reads the cookies that `legacy_flask_secret` and `legacy_tornado_secret` verify."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        flask, tornado = settings.legacy_flask_secret, settings.legacy_tornado_secret
        self._flask = FlaskCookies([flask.get_secret_value()], clock=clock) if flask else None
        self._tornado = TornadoCookies(tornado.get_secret_value(), clock) if tornado else None
        self._name = settings.legacy_cookie
        self._key = settings.legacy_user_key
        self.any = self._flask is not None or self._tornado is not None

    def read(self, header: bytes) -> OldCookie | None:
        """The old app's cookie in a raw Cookie header, with the user's name in it."""
        return self._from_flask(header) or self._from_tornado(header)

    def _from_flask(self, header: bytes) -> OldCookie | None:
        name = self._name or "session"
        cookie = read_cookie(header, name.encode()) if self._flask is not None else None
        data = self._flask.loads(cookie) if self._flask is not None and cookie else None
        if not cookie or data is None:
            return None
        return _old(name, data.get(self._key), "flask", signed=cookie.rpartition(".")[0])

    def _from_tornado(self, header: bytes) -> OldCookie | None:
        name = self._name or "user"
        cookie = (read_cookie(header, name.encode()) or "").strip('"') if self._tornado is not None else ""
        value = self._tornado.loads(name, cookie) if self._tornado is not None and cookie else None
        if value is None:
            return None
        return _old(name, self._user(value), "tornado", signed=cookie.rpartition("|")[0])

    def _user(self, value: bytes) -> object:
        """The name in a Tornado cookie: the JSON string or object that Tornado's examples use, or the bare text."""
        try:
            text = value.decode()
            data = json.loads(text)
        except UnicodeDecodeError:
            return None
        except (ValueError, RecursionError):
            return text
        return data.get(self._key) if isinstance(data, dict) else data


def _old(cookie: str, user: object, how: str, *, signed: str) -> OldCookie | None:
    if not isinstance(user, str) or not user:
        return None
    return OldCookie(cookie, user, how, hashlib.sha256(signed.encode()).hexdigest())
