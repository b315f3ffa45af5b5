"""The cast: alice, an administrator, and bob and charlie, who are not."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from argon2 import PasswordHasher

from app.accounts.models import User
from app.accounts.passwords.hashing import LANES, MEMORY, ROUNDS, prepared
from tests.helpers.service import Running

PASSWORD = "paper lantern over the river"


@dataclass(frozen=True, slots=True)
class Cast:
    alice: User
    bob: User
    charlie: User


async def make_cast(service: Running) -> Cast:
    """Makes their accounts; all have the same PASSWORD."""
    accounts, passwords, stored = service.state["accounts"], service.state["passwords"], password_hash()
    if passwords.needs_rehash(stored):  # cheaper ones, where passwords are not what is tested
        stored = await passwords.hash(PASSWORD)
    return Cast(
        alice=await accounts.create("alice", stored, is_admin=True),
        bob=await accounts.create("bob", stored),
        charlie=await accounts.create("charlie", stored),
    )


@cache
def password_hash() -> str:
    """Made once for all tests: hashing takes time, on purpose."""
    return PasswordHasher(ROUNDS, MEMORY, LANES).hash(prepared(PASSWORD))


async def signed_in(service: Running, name: str, password: str = PASSWORD, **options: Any) -> httpx.AsyncClient:
    """A browser in which this user has signed in; the options are those of `Running.another_client`."""
    client = service.another_client(**options)
    answer = await client.post("/api/session", json={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    return client
