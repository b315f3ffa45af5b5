"""Forms that wait, encrypted, while their user authenticates at a provider."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption

LIFETIME = 900
"""Seconds for which a form waits."""


@dataclass(frozen=True, slots=True)
class WaitingForm:
    """A form that was sent to the path `action`; `fields` are (name, value)."""

    user: str
    action: str
    fields: Sequence[tuple[str, str]]


class WaitingForms:
    """Raises StoreUnavailable."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._encryption = Encryption(signing_keys(settings), "waiting-form")

    async def keep(self, form: WaitingForm) -> str:
        """Returns the secret under which the form waits."""
        secret = new_secret()
        await self._store.idempotent(
            "SET",
            keys.waiting_form(digest(secret)),
            self._encryption.encrypt(orjson.dumps(form)),
            "EX",
            LIFETIME,
        )
        return secret

    async def find(self, secret: str, user_id: str) -> WaitingForm | None:
        """The form, if it is this user's."""
        return await self._read(secret, user_id, "GET")

    async def take(self, secret: str, user_id: str) -> WaitingForm | None:
        """The form, if it is this user's, once."""
        return await self._read(secret, user_id, "GETDEL")

    async def _read(self, secret: str, user_id: str, command: str) -> WaitingForm | None:
        if not looks_like_secret(secret):
            return None
        encrypted = await self._store.idempotent(command, keys.waiting_form(digest(secret)))
        text = self._encryption.decrypt(encrypted) if encrypted is not None else None
        if text is None:
            return None
        found = orjson.loads(text)
        form = WaitingForm(found["user"], found["action"], [(name, value) for name, value in found["fields"]])
        return form if form.user == user_id else None
