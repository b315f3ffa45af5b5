"""`python -m app rotate-keys`: publishes new signing keys, which sign a day later."""

from datetime import UTC, datetime

from app.cli.command import Command, Invocation, with_store
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.signing_keys.key_ring import SigningKey
from app.signing_keys.signing_keys import SigningKeys
from app.signing_keys.store import KeyStore
from app.store.client import Store
from app.store.encryption import Encryption


def run(invocation: Invocation) -> int:
    settings, at_once = invocation.settings(), invocation.options.now
    for key in with_store(settings, lambda store: rotate(store, settings, at_once=at_once)):
        when = datetime.fromtimestamp(key.signs_from, UTC).strftime("%Y-%m-%d %H:%M UTC")
        print(f"tallygate: {key.alg} key {key.kid} signs from {when}")
    return 0


async def rotate(store: Store, settings: Settings, *, at_once: bool) -> list[SigningKey]:
    """Raises StoreUnavailable."""
    encryption = Encryption(signing_keys(settings), "signing-keys")
    return await SigningKeys(KeyStore(store, None, encryption)).rotate(at_once=at_once)


command = Command(run, lambda parser: parser.add_argument("--now", action="store_true"))
