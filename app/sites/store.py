"""Sites in Redis: records, members, and the batches that count hits."""

from collections.abc import Collection, Sequence
from functools import lru_cache

import orjson

from app.counter.exactly_once import BatchStore, SequenceGap
from app.sites.batch_scripts import COUNT_BATCH, COUNT_PENDING, SET_VALUES
from app.sites.counting_script import SETTLED_AT_ONCE
from app.sites.models import BUCKETS, May, Site, bucket_of, settings_of
from app.store import keys
from app.store.client import ResponseError, Store
from app.store.hashes import compare_and_set, set_if_exists
from app.store.scripts import Script

Reply = Sequence[Sequence[int] | None]
"""For each slot the site's visits, its visitors, and the total of each path: nothing where it waits to be counted, None
for a site that is gone.
"""

REWRITE_SECONDS = 20 * 3600

MAX_SITES_OF_HOST = 100
# A host belongs to the first of the sites that name it, in the order in which they came to do so.
# KEYS: all hosts. ARGV: the site, its place for these hosts (first, last, none), most sites, hosts.
PLACE_SITE = Script("""
local site, place = ARGV[1], ARGV[2]
for i = 4, #ARGV do
  local others, known = {}, false
  for each in string.gmatch(redis.call('HGET', KEYS[1], ARGV[i]) or '', '%S+') do
    if each == site then known = true else table.insert(others, each) end
  end
  if place == 'first' then table.insert(others, 1, site) end
  if place == 'last' and #others < tonumber(ARGV[3]) then table.insert(others, site) end
  if #others == 0 then
    redis.call('HDEL', KEYS[1], ARGV[i])
  elseif place ~= 'last' or not known then
    redis.call('HSET', KEYS[1], ARGV[i], table.concat(others, ' '))
  end
end
return 1
""")


class SiteStore:
    """Raises StoreUnavailable when Redis does not answer."""

    def __init__(self, store: Store, reached: Sequence[int] = ()) -> None:
        self.store = store
        self._reached = " ".join(map(str, reached))

    async def count_pending(self, site: Site) -> None:
        """Counts the pending reports of the site, before its counts are read."""
        await self._count_pending(site.bucket, site.id)

    async def count_all_pending(self) -> None:
        for bucket in range(BUCKETS):
            while await self._count_pending(bucket, "") == SETTLED_AT_ONCE:
                pass

    async def _count_pending(self, bucket: int, site_id: str) -> int:
        names, tag = [keys.sites_pending(bucket)], keys.sites_bucket(bucket)
        return int(await COUNT_PENDING.run(self.store, names, tag, self._reached, site_id))

    async def create(self, site: Site) -> None:
        """Writes the indexes first: a site without an index would be lost, an index without a site is ignored."""
        await self.store.idempotent("SADD", keys.sites_of(site.owner), site.id)
        await self.store.idempotent("ZADD", keys.SITES_ALL, site.created, site.id)
        settings = orjson.dumps(settings_of(site))
        record = ("settings", settings, "owner", site.owner, "created", repr(site.created), "revision", 0)
        await self.store.idempotent("HSET", keys.site(site.bucket, site.id), *record)
        await self.claim_hosts(site.id, site.compare_hosts)

    async def claim_hosts(self, site_id: str, hosts: frozenset[str]) -> None:
        await self._place(site_id, "last", hosts)

    async def release_hosts(self, site_id: str, hosts: frozenset[str]) -> None:
        await self._place(site_id, "none", hosts)

    async def give_host(self, host: str, site_id: str) -> None:
        await self._place(site_id, "first", {host})

    async def _place(self, site_id: str, place: str, hosts: Collection[str]) -> None:
        if hosts:
            await PLACE_SITE.run(self.store, [keys.SITES_HOSTS], site_id, place, MAX_SITES_OF_HOST, *sorted(hosts))

    async def sites_of_host(self, host: str) -> tuple[str, ...]:
        """Ids of the sites that name the host, the one that it belongs to first; also of some that no longer do."""
        reply = await self.store.idempotent("HGET", keys.SITES_HOSTS, host)
        return tuple(reply.decode().split()) if reply else ()

    async def replace_settings(self, old: Site, new: Site) -> bool:
        """Returns False if they have changed since `old` was read, or the site is removed."""
        key, after = keys.site(old.bucket, old.id), orjson.dumps(settings_of(new))
        return await compare_and_set(self.store, key, "settings", old.stored_settings, after)

    async def set_field(self, site: Site, name: str, value: str) -> bool:
        return await set_if_exists(self.store, keys.site(site.bucket, site.id), name, value)

    async def delete_field(self, site: Site, name: str) -> bool:
        return bool(await self.store.idempotent("HDEL", keys.site(site.bucket, site.id), name))

    async def raise_revision(self, site: Site) -> None:
        """Invalidates what workers derived from the site's counts."""
        await self.store.once("HINCRBY", keys.site(site.bucket, site.id), "revision", 1)

    async def set_person(self, site: Site, user_id: str, may: May) -> bool:
        await self.store.idempotent("SADD", keys.sites_of(user_id), site.id)
        return await self.set_field(site, f"may:{user_id}", may)

    async def remove_person(self, site: Site, user_id: str) -> bool:
        removed = await self.delete_field(site, f"may:{user_id}")
        await self.store.idempotent("SREM", keys.sites_of(user_id), site.id)
        return removed

    async def set_owner(self, site: Site, user_id: str) -> bool:
        """Returns False if the site is removed. The former owner loses all rights."""
        await self.store.idempotent("SADD", keys.sites_of(user_id), site.id)
        if not await self.set_field(site, "owner", user_id):
            return False
        await self.delete_field(site, f"may:{user_id}")
        if site.owner != user_id:
            await self.store.idempotent("SREM", keys.sites_of(site.owner), site.id)
        return True

    async def leave_to_administrators(self, site: Site) -> None:
        """Removes the owner of the site."""
        await self.set_field(site, "owner", "")
        await self.store.idempotent("SREM", keys.sites_of(site.owner), site.id)

    async def all_sites(self, after: str, count: int) -> list[str]:
        """Ids in order of creation, after the id `after`."""
        begins = 0
        if after:
            rank = await self.store.idempotent("ZRANK", keys.SITES_ALL, after)
            if rank is None:
                return []
            begins = int(rank) + 1
        ids = await self.store.idempotent("ZRANGE", keys.SITES_ALL, begins, begins + count - 1)
        return [site_id.decode() for site_id in ids]

    async def remove(self, site: Site) -> None:
        """Removes the record first: from then on no batch counts hits of the site."""
        await self.store.idempotent("DEL", keys.site(site.bucket, site.id))
        await self.release_hosts(site.id, site.compare_hosts)
        for user_id in (site.owner, *site.people):
            await self.store.idempotent("SREM", keys.sites_of(user_id), site.id)
        await self.store.idempotent("ZREM", keys.SITES_ALL, site.id)

    async def set_values(self, site: Site, path: str, visits: int, visitors: int) -> int:
        """Values from before counting began, of a page or (for "") of the site alone. 1; -1 where the site is gone,
        -2 where it has no room for another page.
        """
        names = [keys.site(site.bucket, site.id), keys.sites_bucket(site.bucket)]
        return int(await SET_VALUES.run(self.store, names, site.id, path, visits, visitors, site.max_paths))

    async def sites_of(self, user_id: str) -> list[str]:
        return sorted(reply.decode() for reply in await self.store.idempotent("SMEMBERS", keys.sites_of(user_id)))

    async def salt(self, zone: str, day: str, ends: int, fresh: bytes) -> bytes:
        """The day's salt: the stored one, else `fresh`, which is stored."""
        key = keys.sites_salt(zone, day)
        await self.store.idempotent("SET", key, fresh, "NX", "EXAT", ends)
        return bytes(await self.store.idempotent("GET", key) or fresh)

    async def rewrite_file(self) -> bool:
        """Makes the server write its append-only file anew, once in REWRITE_SECONDS: deleted salts are in the old one.

        False where another worker has just done it, or the server does not let us.
        """
        mine = await self.store.idempotent("SET", keys.SITES_REWRITTEN, "", "NX", "EX", REWRITE_SECONDS)
        if mine is None:
            return False
        try:
            await self.store.idempotent("BGREWRITEAOF", near=keys.SITES_REWRITTEN)
        except ResponseError:  # it writes none, is at it already, or our user may not ask for it
            return False
        return True


class SitesBatchStore(BatchStore[Reply]):
    """Batches of the sites of one bucket; of all, where one node holds every key. A site that passes one of the numbers
    `reached` raises an event.
    """

    def __init__(self, store: Store, barrier: Store, bucket: int, reached: Sequence[int] = ()) -> None:
        super().__init__(store, barrier, near=keys.sites_bucket(bucket))
        self._bucket = bucket
        self._reached = " ".join(map(str, reached))

    def worker_key(self, worker: str) -> str:
        return keys.sites_worker(self._bucket, worker)

    async def apply(self, worker: str, sequence: int, arguments: Sequence[str | int | bytes]) -> Reply:
        settings = (keys.HITS_WORKER_LIFETIME, self._reached)
        reply = await COUNT_BATCH.run(self._store, [self.worker_key(worker)], sequence, *settings, *arguments)
        if isinstance(reply, int):
            raise SequenceGap(reply)
        return [None if part == b"-" else [int(number) for number in part.split()] for part in reply.split(b";")]


@lru_cache(maxsize=20_000)
def site_key(site_id: str) -> str:
    return keys.site(bucket_of(site_id), site_id)
