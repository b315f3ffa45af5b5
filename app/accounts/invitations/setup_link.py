"""The link by which the first administrator's account is made."""

import asyncio
import hashlib
import hmac
import multiprocessing
import os
import secrets
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.accounts.secret import digest
from app.accounts.users.store import AccountStore, AdminExists
from app.settings import Settings
from app.store.client import ResponseError, StoreUnavailable

RETRY = 1.0
"""Seconds between two attempts to learn whether there is an administrator, while Redis is away."""


async def setup_token(accounts: AccountStore, settings: Settings) -> str:
    """The link's token, the same in every worker. Raises AdminExists if there is an administrator."""
    nonce = await accounts.setup_nonce()
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, b"setup:" + nonce.encode(), hashlib.sha256).hexdigest()


def listening_at(settings: Settings, argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """The service's address for a browser on the same machine; empty while the port is unknown.

    `uvicorn app.main:app` has a host and a port of its own.
    """
    host, port = settings.host, str(settings.port)
    if "uvicorn" in Path(argv[0]).as_posix():
        parser = ArgumentParser(add_help=False, exit_on_error=False)
        parser.add_argument("--host", default=environ.get("UVICORN_HOST", "127.0.0.1"))
        parser.add_argument("--port", default=environ.get("UVICORN_PORT", "8000"))
        given, _ = parser.parse_known_args(list(argv[1:]))
        host, port = given.host, given.port
    port = str(settings.published_port or port)
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104  a browser cannot open them
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" if port != "0" else ""


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
            place = settings.public_url or listening_at(settings, sys.argv, os.environ)
            # Printed, not logged: the log holds no secrets.
            print(f"tallygate: make the administrator's account at {place}/setup?token={token}", file=sys.stderr)
        return
