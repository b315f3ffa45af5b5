"""One session: who, on which device, since when, and what an application keeps in it; and where sessions are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from app.sessions.flask_format import TaggedJson

FLASH = "_flash"
Changes = dict[str, str | None]
"""What of a session's data has changed, as tagged JSON by name; None for what was removed."""


@dataclass(slots=True)
class Session:
    """A signed-in visitor's session.

    `data` holds what an application keeps in it: JSON's types, and those that Flask's sessions have, too (tuple,
    bytes, UUID, datetime). Each name in it is stored for itself: of two requests that change different names at the
    same moment both are kept, of two that change the same name the later one.

    Times are Unix seconds; from `recheck_at` on, whoever vouched for the user is asked again before anybody is let in.
    """

    key: str
    user: str
    created: float
    seen: float
    auth_method: str
    device: str = ""
    address: str = ""
    recheck_at: float = math.inf
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
        """What of the data, however deep, is other than what is stored; from here on it counts as stored.

        Raises TypeError for what would not come back as it was.
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
        """One for a single request: what a request does to its data must not show in others' before it is stored."""
        return replace(self, _data=None)


class SessionStore(Protocol):
    """Where sessions are. Every method raises StoreUnavailable when it cannot be asked."""

    revocable: bool

    async def load(self, cookie: str) -> Session | None:
        """The living session of a cookie; None for anything else."""

    def cached(self, key: str) -> Session | None:
        """The living session of a key when it is known without asking; None says nothing."""

    async def create(self, session: Session) -> str:
        """Stores a new session, gives it its key, and returns the cookie's value."""

    async def save(self, session: Session, changes: Changes) -> str | None:
        """Stores changed data; the cookie's new value if it has to be set anew."""

    async def touch(self, session: Session) -> str | None:
        """Notes `seen`; the cookie's new value if it has to be set anew."""

    async def save_recheck(self, session: Session) -> None:
        """Notes `recheck_at`."""

    async def end(self, session: Session) -> None: ...

    async def of_user(self, user: str) -> list[Session]: ...


def flash(session: Session, message: str) -> None:
    """Leaves a message (an English sentence, translated when shown) for the next page that the visitor sees."""
    session.data[FLASH] = message


def take_flash(session: Session) -> str | None:
    """The message that was left; it shows once."""
    if not session.has_flash:
        return None
    message: str | None = session.data.pop(FLASH, None)
    return message
