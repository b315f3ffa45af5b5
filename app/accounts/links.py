"""Links with a secret, kept by its hash until they are used or expire."""

from collections.abc import Callable

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.accounts.users.base_store import BaseStore
from app.store import hashes

KeyOf = Callable[[str], str]


class LinkStore(BaseStore):
    """`key_of` makes a link's key of its secret's hash."""

    async def _create(self, key_of: KeyOf, lifetime: int, **fields: str) -> tuple[str, float]:
        """Returns (the link's secret, when it expires)."""
        secret, expires = new_secret(), self._clock() + lifetime
        key = key_of(digest(secret))
        pairs = [text for pair in (fields | {"expires": repr(expires)}).items() for text in pair]
        await hashes.create(self._store, key, lifetime, *pairs)
        return secret, expires

    async def _read(self, key_of: KeyOf, secret: str, *fields: str) -> list[bytes | None]:
        """The fields of a link that has not expired, else None for each."""
        if not looks_like_secret(secret):
            return [None] * len(fields)
        expires, *values = await self._store.idempotent("HMGET", key_of(digest(secret)), "expires", *fields)
        return values if expires is not None and self._clock() < float(expires) else [None] * len(fields)
