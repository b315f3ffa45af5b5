"""`python -m app create-admin NAME`: makes an administrator's account without a browser."""

import getpass
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterable

from app.accounts.passwords.hashing import PasswordHashing
from app.accounts.passwords.policy import WeakPassword, check_password, service_words
from app.accounts.users.names import BadName, normal
from app.accounts.users.store import AccountStore, AdminExists, NameTaken
from app.audit.log import Audit, Event
from app.cli.command import Command, CommandError, Invocation, with_store
from app.store.client import Store


def run(invocation: Invocation) -> int:
    settings, name = invocation.settings(), invocation.named("create-admin", "the administrator")
    words, force = service_words(settings.site_name, settings.public_url), invocation.options.force
    print(f"tallygate: {with_store(settings, lambda store: create_admin(store, name, words, force=force))}")
    return 0


async def create_admin(store: Store, name: str, words: Iterable[str] = (), *, force: bool = False) -> str:
    """Makes the first administrator, or another one (`force`), with a password that is asked for, but none of the
    service's `words`; returns a line.

    Raises CommandError, StoreUnavailable.
    """
    passwords = PasswordHashing(threads=1)
    try:
        normal(name)
        accounts = AccountStore(store)
        if not force and await accounts.has_admin():
            raise AdminExists
        password = ask_password()
        check_password(password, name, words)
        password_hash = await passwords.hash(password)
        user = await accounts.create(name, password_hash, is_admin=True, first_admin=not force)
        await Audit(store).record(Event.USER_CREATED, user=user.id, detail="create-admin")
    except AdminExists:
        raise CommandError("there is an administrator already, who can make others in the administration") from None
    except (BadName, WeakPassword) as wrong:
        raise CommandError(wrong.reason) from None
    except NameTaken:
        raise CommandError("this name is taken: `reset-password` sets the password of an account") from None
    finally:
        passwords.close()
    return f"{user.name} is {'an' if force else 'the'} administrator now"


def ask_password() -> str:
    """Asks for a password: on a terminal twice, without echo; else reads the first line of standard input."""
    # asyncio handles Ctrl-C itself, and would do so only after the password.
    asyncios = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if sys.stdin.isatty():
            password = getpass.getpass("Password: ")
            if getpass.getpass("Again: ") != password:
                raise CommandError("the two passwords are not the same")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        password.encode()  # without a locale Python accepts bytes that no browser could send
        return password
    except (EOFError, KeyboardInterrupt):
        raise CommandError("no password was given") from None
    except UnicodeError:
        raise CommandError("the password is not valid UTF-8") from None
    finally:
        signal.signal(signal.SIGINT, asyncios)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--force", action="store_true", help="also if there is an administrator already")


command = Command(run, add_options)
