"""Password hashing with Argon2id, in threads beside the event loop."""

import asyncio
import base64
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.accounts.passwords.policy import MAX_LENGTH
from app.web.errors import Unavailable
from app.web.i18n import N_

MEMORY, ROUNDS, LANES = 19_456, 2, 1
"""KiB, passes and threads of one hash: the OWASP Password Storage Cheat Sheet's first choice."""
SALT_BYTES, HASH_BYTES = 16, 32
NICENESS = 10
"""The niceness of the hashing threads: requests go first on a shared core."""

Result = TypeVar("Result")


class Busy(Unavailable):
    """The queue of passwords to hash is full."""

    detail = N_("Too many people are signing in right now.")


class PasswordHashing:
    """Argon2id in `threads` threads; at most `waiting` more calls queue, then both coroutines raise Busy."""

    def __init__(
        self,
        *,
        threads: int = 2,
        waiting: int = 32,
        memory: int = MEMORY,
        rounds: int = ROUNDS,
        niceness: int = NICENESS,
    ) -> None:
        self._hasher = PasswordHasher(rounds, memory, LANES, HASH_BYTES, SALT_BYTES, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, "argon2", _step_back, (niceness,))
        self._room = threading.Semaphore(threads + waiting)
        self._nobodys = f"$argon2id$v=19$m={memory},t={rounds},p={LANES}${_random(SALT_BYTES)}${_random(HASH_BYTES)}"

    def close(self) -> None:
        """Ends the threads after their present hash; queued calls are cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._beside(lambda: self._hasher.hash(prepared(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password has this hash. With None it takes as long and returns False."""
        return await self._beside(lambda: self._verified(stored, password))

    def needs_rehash(self, stored: str) -> bool:
        """Whether the hash has other parameters than the present ones."""
        return self._hasher.check_needs_rehash(stored)

    def _verified(self, stored: str | None, password: str) -> bool:
        if len(password) > MAX_LENGTH:
            stored, password = None, ""
        try:
            return self._hasher.verify(stored or self._nobodys, prepared(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _beside(self, work: Callable[[], Result]) -> Result:
        if not self._room.acquire(blocking=False):
            raise Busy
        job: Future[Result] = self._pool.submit(work)
        job.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(job)


def prepared(password: str) -> bytes:
    """The bytes to hash: equal for all compositions of the same characters (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _random(count: int) -> str:
    return base64.b64encode(secrets.token_bytes(count)).rstrip(b"=").decode()


def _step_back(niceness: int) -> None:
    """Sets the niceness on Linux, which has a priority per thread; elsewhere it would apply to the whole process."""
    if sys.platform == "linux":
        with suppress(OSError):  # sandboxes may forbid it
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
