"""The session cookie: its name, its value in a request, and the Set-Cookie headers that set and delete it.

The store signs the value (redis_store.py, cookie_store.py); service.py adds the header; app/web/cookies.py writes it.
"""

from starlette.types import Scope

from app.settings import Settings
from app.web.cookies import delete_cookie, full_name, read_cookie, set_cookie
from app.web.headers import RawHeader


class SessionCookie:
    """`__Host-<name>` over HTTPS, `<name>` over plain HTTP (docs/accounts.md).

    Its Max-Age is the absolute timeout; the cookie of a brief session has none and ends with the browser.
    """

    def __init__(self, settings: Settings) -> None:
        self._name = settings.session_cookie
        self._max_age = settings.session_absolute_timeout

    def name(self, scope: Scope) -> str:
        return full_name(self._name, scope)

    def read(self, scope: Scope, header: bytes) -> str | None:
        """The value in a raw Cookie header; None if it is missing, doubled or not ASCII."""
        return read_cookie(header, self.name(scope).encode())

    def set(self, scope: Scope, value: str, *, brief: bool = False) -> RawHeader:
        """Raises CookieTooLarge."""
        return set_cookie(scope, self._name, value, None if brief else self._max_age)

    def delete(self, scope: Scope) -> RawHeader:
        return delete_cookie(scope, self.name(scope))
