"""The link by which the first administrator's account is made."""

import asyncio
import hashlib
import hmac
import multiprocessing
import secrets
import sys

from app.accounts.secret import digest
from app.accounts.store import AccountStore, AdminExists
from app.settings import Settings
from app.store.client import ResponseError, StoreUnavailable

RETRY = 1.0
"""Seconds between two attempts to learn whether there is an administrator, while Redis is away."""


async def setup_token(accounts: AccountStore, settings: Settings) -> str:
    """The link's token, the same in every worker. Raises AdminExists if there is an administrator."""
    nonce = await accounts.setup_nonce()
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, b"setup:" + nonce.encode(), hashlib.sha256).hexdigest()


async def print_setup_link(accounts: AccountStore, settings: Settings) -> None:
    """Prints the setup link once per start, as soon as Redis answers."""
    start = digest(multiprocessing.current_process().authkey.hex())  # random, and inherited by a supervisor's workers
    worker = secrets.token_hex()
    while True:
        try:
            token = await setup_token(accounts, settings)
            first = await accounts.first_to_print(start, worker)
        except (StoreUnavailable, ResponseError):
            await asyncio.sleep(RETRY)
            continue
        except AdminExists:
            return
        if first:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            place = f"http://{host}:{settings.port}" if settings.port else ""
            # Printed, not logged: the log holds no secrets.
            print(f"tallygate: make the administrator's account at {place}/setup?token={token}", file=sys.stderr)
        return
