"""Recognises visitors for one day, without identifying them.

A visitor is a keyed hash of site, address and User-Agent. The key, the day's salt, is deleted when the day ends: from
then on no hash can be made again, and none can be traced.
"""

from hashlib import blake2b

MAX_CACHED_VISITS = 50_000
HASH_BYTES = 7
"""56 bits: two of 100,000 visitors of a day share a hash on one day in 14 million."""


def visitor_hash(salt: bytes, site_id: str, address: str, agent: bytes) -> str:
    return blake2b(
        b"%b\0%b\0%b" % (site_id.encode(), address.encode(), agent), key=salt, digest_size=HASH_BYTES
    ).hexdigest()


class CountedVisitors:
    """Visits whose visitor is counted already, so that Redis is not needed; bounded, for the current hour."""

    def __init__(self, limit: int = MAX_CACHED_VISITS) -> None:
        self._limit = limit
        self._seen: set[tuple[object, ...]] = set()

    def first(self, visit: tuple[object, ...]) -> bool:
        """Remembers the visit. Returns whether it is new."""
        seen = self._seen
        if visit in seen:
            return False
        if len(seen) >= self._limit:
            seen.clear()
        seen.add(visit)
        return True
