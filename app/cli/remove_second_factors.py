"""`python -m app remove-second-factors NAME`: for a user who has lost them and the recovery codes."""

from app.accounts.second_factors.store import SecondFactors
from app.accounts.users.store import AccountStore
from app.audit.log import Audit, Event
from app.cli.command import Command, CommandError, Invocation, with_store
from app.cli.reset_password import end_sessions, user_of
from app.settings import Settings
from app.store.client import Store


def run(invocation: Invocation) -> int:
    settings, name = invocation.settings(), invocation.named("remove-second-factors", "the user")
    print(f"tallygate: {with_store(settings, lambda store: remove_second_factors(store, settings, name))}")
    return 0


async def remove_second_factors(store: Store, settings: Settings, name: str) -> str:
    """Removes all of them; returns the line to print. Raises CommandError, StoreUnavailable."""
    user = await user_of(AccountStore(store), name)
    if not await SecondFactors(settings, store).remove_all(user.id):
        raise CommandError(f"{user.name} has no second factor")
    ended = await end_sessions(store, settings, user.id)
    await Audit(store).record(Event.FACTOR_REMOVED, user=user.id, detail="remove-second-factors")
    return f"the second factors of {user.name} are removed, and {ended} sessions have ended"


command = Command(run, lambda parser: parser.add_argument("name", nargs="?", metavar="NAME"))
