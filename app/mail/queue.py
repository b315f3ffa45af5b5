"""The queue of mails in Redis, which every worker sends in the background. It survives a restart."""

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
from app.store.delayed_queue import DelayedQueue
from app.store.encryption import Encryption
from app.store.keys import mail as keys
from app.store.records import from_stored

MAX_JOBS = 10_000
"""Queued mails; further ones are dropped."""
MAX_ATTEMPTS = 4
"""Mails that a worker sends concurrently."""
RETRIES = (10, 60, 300, 900, 3600, 10_800, 21_600)
"""Seconds between the attempts: after half a day a mail is given up."""
STOP_TIMEOUT = 5.0
"""Seconds for which a stop waits for attempts under way."""


class MailQueue:
    """`composers` compose mails, by kind of job. Without a mail server nothing is queued."""

    def __init__(
        self, settings: Settings, store: Store, composers: Mapping[str, Composer], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._queue = DelayedQueue(store, (keys.DUE, keys.JOBS), MAX_JOBS)
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
        """Does nothing without a mail server. Raises StoreUnavailable."""
        if not self.enabled:
            return
        job_id = self._queue.new_id()
        if not await self._queue.enqueue(job_id, self._sealed(job_id, Job(kind, facts)), self._clock()):
            self._log.warning("a mail is dropped: too many wait", kind=kind)
        self._attempts.wake()

    async def run(self) -> None:
        """Sends until cancelled. An interrupted attempt is repeated after its lease."""
        if self.enabled:
            await self._attempts.run(self._start_due)

    async def finish(self) -> None:
        """Starts no more attempts and waits up to STOP_TIMEOUT for running ones."""
        self._stopping = True
        await self._attempts.finish(STOP_TIMEOUT)

    async def _start_due(self) -> None:
        room = 0 if self._stopping else self._attempts.room
        for job_id, text in await self._queue.claim(self._clock(), 2 * self._settings.smtp_timeout, room):
            self._attempts.start("mail", partial(self._deliver, job_id, self._opened(job_id, text)))

    async def _deliver(self, job_id: str, job: Job | None) -> None:
        mail = await self._composers[job.kind](job) if job is not None and job.kind in self._composers else None
        if job is not None and mail is not None and not await self._sends(job, mail):
            due = self._clock() + RETRIES[job.tries]
            await self._queue.retry(job_id, self._sealed(job_id, replace(job, tries=job.tries + 1)), due)
        else:
            await self._queue.settle(job_id)

    async def _sends(self, job: Job, mail: Mail) -> bool:
        """Returns whether the job is done: sent, or given up. Logs when the mail server fails and when it recovers."""
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
        return None if fields is None else from_stored(Job, fields)
