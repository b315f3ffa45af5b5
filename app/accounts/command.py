"""`python -m app create-admin NAME`: the administrator's account without a browser."""

import getpass
import signal
import sys

from app.accounts.names import BadName, normal
from app.accounts.password_hashing import PasswordHashing
from app.accounts.password_policy import WeakPassword, check_password
from app.accounts.store import AccountStore, AdminExists, NameTaken
from app.audit.log import Audit, Event
from app.store.client import Store, StoreUnavailable
from app.store.topology import Topology


class CommandError(Exception):
    """What was asked for cannot be done; the text is one line that says why."""


async def create_admin(topology: Topology, redis_timeout: float, name: str) -> str:
    """Makes the first administrator, with a password that is asked for; the line to print. Raises CommandError."""
    passwords = PasswordHashing(threads=1)
    try:
        normal(name)
        async with Store(topology, redis_timeout) as store:
            accounts = AccountStore(store)
            if await accounts.has_admin():
                raise AdminExists
            password = _ask()
            check_password(password, name)
            user = await accounts.create_first_admin(name, await passwords.hash(password))
            await Audit(store).record(Event.USER_CREATED, user=user.id, detail="create-admin")
    except AdminExists:
        raise CommandError("there is an administrator already, who can make others in the administration") from None
    except (BadName, WeakPassword) as wrong:
        raise CommandError(wrong.reason) from None
    except NameTaken:
        raise CommandError("this name is taken") from None
    except StoreUnavailable as away:
        raise CommandError(f"Redis does not answer ({away})") from None
    finally:
        passwords.close()
    return f"{user.name} is the administrator now"


def _ask() -> str:
    """From the terminal, twice, without showing it; else the first line of standard input."""
    # asyncio takes Ctrl-C for itself, and would look at it only after the password.
    asyncios = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if sys.stdin.isatty():
            password = getpass.getpass("Password: ")
            if getpass.getpass("Again: ") != password:
                raise CommandError("the two passwords are not the same")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        password.encode()  # without a locale Python lets odd bytes through, and no browser could ever send them
        return password
    except (EOFError, KeyboardInterrupt):
        raise CommandError("no password was given") from None
    except UnicodeError:
        raise CommandError("the password is not valid UTF-8") from None
    finally:
        signal.signal(signal.SIGINT, asyncios)
