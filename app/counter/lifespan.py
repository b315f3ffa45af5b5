"""What the counter's handlers find in `request.state`."""

from app.accounts.lifespan import AccountState
from app.counter.live import Live
from app.counter.tally import Tally


class CounterState(AccountState):
    tally: Tally
    live: Live
