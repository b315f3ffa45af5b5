"""Known origins: the addresses and browsers from which a user signed in before.

Their sign-in attempts are limited apart from those of others: a stranger who guesses passwords does not lock the
owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). A browser is known by a cookie of its own.
"""

import asyncio
import hashlib

from starlette.types import Scope

from app.accounts.secret import looks_like_secret, new_secret
from app.sessions.context import SESSION_CONTEXT, SessionContext
from app.store.client import Store
from app.store.keys import accounts as keys
from app.store.rate_limit import address_key
from app.web.cookies import cookie_header, full_name, read_cookie, set_cookie

COOKIE = "tallygate_device"
LIFETIME = 90 * 86_400


class KnownOrigins:
    """Each method raises StoreUnavailable. Names are compare keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, scope: Scope, name: str, address: str) -> str:
        """An opaque text for the browser or the address, whichever the user of this name is known by; empty if neither.

        It tells nothing of whether the name exists: the same commands run.
        """
        origins = [_browser(name, _device(scope) or ""), _network(name, address)]
        known = await asyncio.gather(
            *(self._store.idempotent("EXISTS", keys.known_origin(origin)) for origin in origins)
        )
        return next((origin for origin, found in zip(origins, known, strict=True) if found), "")

    async def note(self, scope: Scope, name: str, address: str) -> None:
        """After a right password: stores both, and sets the browser's cookie."""
        device = _device(scope) or new_secret()
        context: SessionContext = scope[SESSION_CONTEXT]
        context.cookies[COOKIE] = set_cookie(scope, COOKIE, device, LIFETIME)
        await asyncio.gather(
            *(
                self._store.idempotent("SET", keys.known_origin(origin), "", "EX", LIFETIME)
                for origin in (_browser(name, device), _network(name, address))
            )
        )


def _device(scope: Scope) -> str | None:
    cookie = read_cookie(cookie_header(scope), full_name(COOKIE, scope).encode())
    return cookie if cookie is not None and looks_like_secret(cookie) else None


def _browser(name: str, device: str) -> str:
    return _digest("browser", name, device)


def _network(name: str, address: str) -> str:
    return _digest("network", name, address_key(address))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
