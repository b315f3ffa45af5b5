"""Passwords: hashed with Argon2id beside the event loop, and refused where they would be guessed first."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher

from app.accounts.passwords.hashing import Busy, PasswordHashing
from tests.helpers.sockets import PATIENCE

QUICK = {"memory": 64, "rounds": 1}
SLOW = {"memory": 65_536, "rounds": 2}
"""Some 100 ms."""


@pytest.fixture
def passwords() -> Iterator[PasswordHashing]:
    passwords = PasswordHashing(**QUICK)
    yield passwords
    passwords.close()


def hashing_threads() -> set[threading.Thread]:
    """Those of other tests may be among them, and about to end."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("argon2")}


async def test_a_password_verifies_against_its_hash_and_no_other_does(passwords: PasswordHashing) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "Correct horse")
    assert not await passwords.verify(stored, "")
    assert await passwords.hash("correct horse") != stored


async def test_hashes_are_argon2id_with_the_parameters_that_owasp_recommends() -> None:
    passwords = PasswordHashing()
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not passwords.needs_rehash(stored)
    assert await passwords.verify(stored, "correct horse")
    passwords.close()


async def test_hash_with_other_parameters_needs_a_rehash(passwords: PasswordHashing) -> None:
    stronger = PasswordHashing(memory=128, rounds=1)
    stored = await passwords.hash("correct horse")
    assert await stronger.verify(stored, "correct horse")
    assert stronger.needs_rehash(stored)
    assert not passwords.needs_rehash(stored)
    stronger.close()


async def test_a_password_is_the_same_however_the_keyboard_composes_it(passwords: PasswordHashing) -> None:
    stored = await passwords.hash("Zoë größer")
    assert await passwords.verify(stored, "Zoe\u0308 gro\u0308ßer")
    assert not await passwords.verify(stored, "Zoe größer")


async def test_every_character_of_a_long_password_counts(passwords: PasswordHashing) -> None:
    password = "é" * 256
    stored = await passwords.hash(password)
    assert await passwords.verify(stored, password)
    assert not await passwords.verify(stored, password[:-1] + "e")
    assert not await passwords.verify(stored, password + "é")
    assert not await passwords.verify(stored, "é" * 1_000_000)


async def test_unknown_user_has_no_password(passwords: PasswordHashing) -> None:
    for password in ("", "x", "correct horse"):
        assert not await passwords.verify(None, password)


@pytest.mark.parametrize("stored", ["nonsense", "$2b$12$abcdefghijklmnopqrstuv", "pbkdf2_sha256$1$x$y"])
async def test_foreign_hash_scheme_does_not_verify(passwords: PasswordHashing, stored: str) -> None:
    assert not await passwords.verify(stored, "correct horse")


async def test_lone_surrogates_in_a_password_are_accepted(passwords: PasswordHashing) -> None:
    stored = await passwords.hash("\ud800 and\x00more")
    assert await passwords.verify(stored, "\ud800 and\x00more")
    assert not await passwords.verify(stored, "\ud800 and")


async def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    passwords = PasswordHashing(threads=1)
    stored = await passwords.hash("correct horse")

    async def work(stored: str | None, password: str) -> float:
        """Seconds of this process's own, which do not grow where the machine is busy with others."""
        begun = time.process_time()
        await passwords.verify(stored, password)
        return time.process_time() - begun

    cases = [(stored, "wrong horse"), (None, "wrong horse"), (stored, "x" * 10_000)]
    rounds = [[await work(*case) for case in cases] for _ in range(6)]
    wrong, unknown, endless = (min(times) for times in zip(*rounds, strict=True))
    assert unknown > wrong / 2
    assert endless > wrong / 2
    passwords.close()


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block no hash gets done."""
    goes_on, real = threading.Event(), PasswordHasher.hash

    def late(hasher: PasswordHasher, *given: Any) -> str:
        assert goes_on.wait(PATIENCE)
        return real(hasher, *given)

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHasher, "hash", late)
        try:
            yield
        finally:
            goes_on.set()


async def test_full_hashing_queue_refuses_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = PasswordHashing(threads=1, waiting=2, **QUICK)
    with held(monkeypatch):
        hashing = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(5)]
        await asyncio.wait(hashing, return_when=asyncio.FIRST_COMPLETED)
    results = await asyncio.gather(*hashing, return_exceptions=True)
    assert [type(result) for result in results] == [str, str, str, Busy, Busy]
    assert await passwords.hash("correct horse")
    passwords.close()


async def test_cancelled_hash_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = PasswordHashing(threads=1, waiting=1, **QUICK)
    with held(monkeypatch):
        working, waiting = (asyncio.create_task(passwords.hash("correct horse")) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await passwords.hash("correct horse")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        later = asyncio.create_task(passwords.hash("correct horse"))
        await asyncio.sleep(0)
    assert await later
    assert await working
    passwords.close()


async def test_hashing_does_not_block_the_event_loop() -> None:
    passwords = PasswordHashing(threads=1, **SLOW)
    deadline = time.monotonic() + PATIENCE
    turns = 0
    while turns <= 10:  # where another program has the processors, the loop may get few turns
        assert time.monotonic() < deadline
        hashing = asyncio.create_task(passwords.hash("correct horse"))
        turns = 0
        while not hashing.done():
            turns += 1
            await asyncio.sleep(0.001)
    passwords.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
async def test_hashing_steps_back_behind_requests(passwords: PasswordHashing) -> None:
    before, others = os.getpriority(os.PRIO_PROCESS, 0), hashing_threads()
    await passwords.hash("correct horse")
    threads = hashing_threads() - others
    assert threads
    for thread in threads:
        assert thread.native_id is not None
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) > before or before == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_close_ends_the_hashing_threads() -> None:
    others = hashing_threads()
    passwords = PasswordHashing(threads=2, **QUICK)
    await asyncio.gather(*(passwords.hash("correct horse") for _ in range(4)))
    own = hashing_threads() - others
    assert own
    passwords.close()
    deadline = time.monotonic() + PATIENCE
    while own & hashing_threads():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
