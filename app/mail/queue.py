"""Mails that wait in Redis and are sent beside the requests, by any worker. A restart loses none."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import orjson
import structlog

from app.mail.models import Composer, Job, Mail
from app.mail.smtp import MailError, send
from app.server.attempts import Attempts
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.keys import mail as keys
from app.store.scripts import Script

MAX_JOBS = 10_000
"""Mails that wait; further ones are dropped."""
MAX_ATTEMPTS = 4
"""Mails that a worker sends at once."""
RETRIES = (10, 60, 300, 900, 3600, 10_800, 21_600)
"""Seconds between the attempts: after half a day a mail is given up."""
STOP_TIMEOUT = 5.0
"""Seconds for which a stop waits for attempts under way."""
ENQUEUE = Script("""
local due, jobs = KEYS[1], KEYS[2]
if redis.call('HLEN', jobs) >= tonumber(ARGV[1]) then return 0 end
if redis.call('HSETNX', jobs, ARGV[3], ARGV[4]) == 1 then redis.call('ZADD', due, ARGV[2], ARGV[3]) end
return 1
""")
# What is claimed is due again after the lease: the worker may have died.
CLAIM = Script("""
local due, jobs = KEYS[1], KEYS[2]
local found = {}
for _, id in ipairs(redis.call('ZRANGE', due, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', due, ARGV[2], id)
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', jobs, id) or ''
end
return found
""")
RETRY = Script("""
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
""")
SETTLE = Script("redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('ZREM', KEYS[1], ARGV[1])")
QUEUE = [keys.DUE, keys.JOBS]


class MailQueue:
    """`composers` make a mail of a job, by its kind. Without a mail server nothing is queued."""

    def __init__(
        self, settings: Settings, store: Store, composers: Mapping[str, Composer], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._store = store
        self._composers = composers
        self._clock = clock
        self._encryption = Encryption(signing_keys(settings), "mail")
        self._attempts = Attempts(MAX_ATTEMPTS)
        self._log = structlog.get_logger("app")
        self._away = self._stopping = False
        self.sent = self.failed = self.given_up = 0

    @property
    def enabled(self) -> bool:
        return self._settings.sends_mail

    async def enqueue(self, kind: str, **facts: str) -> None:
        """Does nothing where no mail can be sent. Raises StoreUnavailable."""
        if not self.enabled:
            return
        job_id = secrets.token_hex(8)
        text = self._sealed(job_id, Job(kind, facts))
        if not await ENQUEUE.run(self._store, QUEUE, MAX_JOBS, self._clock(), job_id, text):
            self._log.warning("a mail is dropped: too many wait", kind=kind)
        self._attempts.wake()

    async def run(self) -> None:
        """Sends until cancelled. An attempt that is cut off is made again after its lease."""
        if self.enabled:
            await self._attempts.run(self._start_due)

    async def finish(self) -> None:
        """Starts no more attempts and waits for those under way, a few seconds at most."""
        self._stopping = True
        await self._attempts.finish(STOP_TIMEOUT)

    async def _start_due(self) -> None:
        room, now = 0 if self._stopping else self._attempts.room, self._clock()
        lease = 2 * self._settings.smtp_timeout
        found: list[bytes] = await CLAIM.run(self._store, QUEUE, now, now + lease, room) if room else []
        for each, text in zip(found[::2], found[1::2], strict=True):
            job_id = each.decode()
            self._attempts.start("mail", partial(self._deliver, job_id, self._opened(job_id, text)))

    async def _deliver(self, job_id: str, job: Job | None) -> None:
        mail = await self._composers[job.kind](job) if job is not None and job.kind in self._composers else None
        if job is not None and mail is not None and not await self._sends(job, mail):
            due = self._clock() + RETRIES[job.tries]
            await RETRY.run(self._store, QUEUE, job_id, due, self._sealed(job_id, replace(job, tries=job.tries + 1)))
        else:
            await SETTLE.run(self._store, QUEUE, job_id)

    async def _sends(self, job: Job, mail: Mail) -> bool:
        """Whether the job is settled: sent, or given up. One line is logged when the server goes away or is back."""
        try:
            await send(self._settings, mail)
        except MailError as error:
            self.failed += 1
            if error.final or job.tries >= len(RETRIES):
                self.given_up += 1
                self._log.warning("a mail is given up", kind=job.kind, why=str(error))
                return True
            if not self._away:
                self._away = True
                self._log.warning("the mail server does not take mails: they are tried again", why=str(error))
            return False
        if self._away:
            self._away = False
            self._log.info("the mail server takes mails again")
        self.sent += 1
        return True

    def _sealed(self, job_id: str, job: Job) -> str:
        return self._encryption.encrypt(orjson.dumps(asdict(job)), job_id)

    def _opened(self, job_id: str, text: bytes) -> Job | None:
        plain = self._encryption.decrypt(text, job_id)
        if plain is None:
            self._log.warning("a mail is dropped: it cannot be decrypted with the secret keys of now")
        fields: dict[str, Any] | None = None if plain is None else orjson.loads(plain)
        return None if fields is None else Job(**fields)
