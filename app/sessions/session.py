"""The session, and the interface of session stores."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.sessions.flask_format import TaggedJson
from app.store.tracking import Pin

FLASH = "_flash"
Changes = dict[str, str | None]
"""Changed data of a session by name, as tagged JSON; None removes the name."""


@dataclass(slots=True)
class Session:
    """A signed-in visitor's session. Times are Unix seconds.

    `data` is the application's: JSON's types and those of Flask's sessions (tuple, bytes, UUID, datetime). Each name in
    it is stored on its own, so that concurrent changes of different names are both kept.

    `root` identifies the session to what depends on it: re-authentication changes the key, and keeps the root.
    After `recheck_at` the identity provider must confirm the session; `groups` are those that it names. `auth_time` is
    when the user last authenticated, 0 if unknown; `amr` is how (RFC 8176), such as `pwd`, `otp`, `mfa`. A `brief`
    session ends with the browser.
    """

    key: str
    user: str
    created: float
    seen: float
    auth_method: str
    device: str = ""
    address: str = ""
    recheck_at: float = math.inf
    auth_time: float = 0.0
    amr: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    brief: bool = False
    root: str = ""
    stored: Mapping[str, str] = field(default_factory=dict)
    _data: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {name: TaggedJson.loads(text) for name, text in self.stored.items()}
        return self._data

    @property
    def has_flash(self) -> bool:
        return FLASH in self.stored

    def changes(self) -> Changes:
        """The changes of the data, at any depth, since the last call.

        Raises TypeError for a value that would not read back equal.
        """
        if self._data is None:
            return {}
        now = {name: TaggedJson.dumps(value) for name, value in self._data.items()}
        changes: Changes = {name: text for name, text in now.items() if self.stored.get(name) != text}
        for name in changes:
            kept = {name: self._data[name]}
            if TaggedJson.loads(TaggedJson.dumps(kept)) != kept:
                raise TypeError(f"a session cannot keep {name!r}: not of JSON's types all through")
        changes |= dict.fromkeys(self.stored.keys() - now.keys())
        self.stored = now
        return changes

    def copy(self) -> "Session":
        """A copy for one request: other requests see its changes only after they are stored."""
        return replace(self, _data=None)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some of a user's sessions, and how many there are in all."""

    sessions: list[Session]
    total: int


class SessionStore(ABC):
    """Every method raises StoreUnavailable. The methods that are not abstract suit a store that keeps nothing."""

    revocable = False

    @abstractmethod
    async def load(self, cookie: str) -> Session | None:
        """The valid session of a cookie value; None if there is none."""

    def cached(self, key: str) -> Session | None:
        """The valid session of a key if it is cached; None otherwise."""
        return None

    async def by_key(self, key: str) -> Session | None:
        """The valid session of a key; None if there is none."""
        return None

    def pin(self, session: Session) -> tuple[Pin | None, float]:
        """What shows that a cached session changes or ends, and when it expires (Unix seconds)."""
        return None, 0.0

    def cached_by_root(self, root: str) -> Session | None:
        """The valid session of a root if it is cached; None otherwise."""
        return None

    async def by_root(self, root: str) -> Session | None:
        """The valid session of a root; None if there is none."""
        return None

    @abstractmethod
    async def create(self, session: Session) -> str:
        """Stores a new session, gives it its key and a missing root, and returns the cookie's value."""

    @abstractmethod
    async def save(self, session: Session, changes: Changes) -> str | None:
        """Stores changed data. Returns the cookie's new value if it changes."""

    @abstractmethod
    async def touch(self, session: Session) -> str | None:
        """Stores `seen`. Returns the cookie's new value if it changes."""

    async def save_recheck(self, session: Session) -> None:  # noqa: B027  see the class
        """Stores `recheck_at` and `groups`."""

    async def end(self, session: Session, *, goes_on: bool = False) -> None:  # noqa: B027  see the class
        """With `goes_on` another session keeps the root, and the session at the identity provider."""

    async def of_user(self, user: str) -> list[Session]:
        return []

    async def page_of_user(self, user: str, offset: int, limit: int) -> "SessionPage":
        """Some of the user's sessions, begun last first, after the first `offset`."""
        return SessionPage([], 0)


def flash(session: Session, message: str) -> None:
    """Stores a message (an English sentence, translated when shown) for the visitor's next page."""
    session.data[FLASH] = message


def take_flash(session: Session) -> str | None:
    if not session.has_flash:
        return None
    message: str | None = session.data.pop(FLASH, None)
    return message
