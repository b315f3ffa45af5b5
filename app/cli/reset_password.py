"""`python -m app reset-password NAME`: sets a user's password, and ends the user's sessions."""

from app.accounts.models import User
from app.accounts.passwords.hashing import PasswordHashing
from app.accounts.passwords.policy import WeakPassword, check_password, service_words
from app.accounts.users.store import AccountStore
from app.audit.log import Audit, Event
from app.cli.command import Command, CommandError, Invocation, with_store
from app.cli.create_admin import ask_password
from app.sessions.redis_store import RedisSessions
from app.sessions.service import Sessions
from app.settings import Settings
from app.store.client import Store
from app.store.tracking import Tracking


def run(invocation: Invocation) -> int:
    settings, name = invocation.settings(), invocation.named("reset-password", "the user")
    print(f"tallygate: {with_store(settings, lambda store: reset_password(store, settings, name))}")
    return 0


async def reset_password(store: Store, settings: Settings, name: str) -> str:
    """Sets a password that is asked for; returns the line to print. Raises CommandError, StoreUnavailable."""
    accounts, passwords = AccountStore(store), PasswordHashing(threads=1)
    try:
        user = await user_of(accounts, name)
        password = ask_password()
        check_password(password, user.name, service_words(settings.site_name, settings.public_url))
        await accounts.set_password(user.id, await passwords.hash(password))
    except WeakPassword as weak:
        raise CommandError(weak.reason) from None
    finally:
        passwords.close()
    ended = await end_sessions(store, settings, user.id)
    await Audit(store).record(Event.PASSWORD_RESET, user=user.id, detail="reset-password")
    disabled = "; the account is disabled, an administrator can enable it" if user.disabled else ""
    return f"the password of {user.name} is set, and {ended} sessions have ended{disabled}"


async def user_of(accounts: AccountStore, name: str) -> User:
    """Raises CommandError."""
    user = await accounts.by_name(name)
    if user is None:
        raise CommandError("no user has this name")
    return user


async def end_sessions(store: Store, settings: Settings, user_id: str) -> int:
    return await Sessions(settings, RedisSessions(store, Tracking(store), settings)).end_all(user_id)


command = Command(run, lambda parser: parser.add_argument("name", nargs="?", metavar="NAME"))
