"""What is seen and done on the side of Redis."""

from app.store.keys import HITS_TOTALS
from tests.helpers.valkey import Valkey


def totals(server: Valkey) -> dict[str, int]:
    with server.client as client:
        return {name.decode(): int(total) for name, total in client.hgetall(HITS_TOTALS).items()}


def records(server: Valkey) -> list[bytes]:
    """The keys of the workers' records."""
    with server.client as client:
        return list(client.keys("{hits}:worker:*"))


def roll_back(server: Valkey, batches: int) -> None:
    """Takes back the last batches, each of one visit of the home page, of the only worker, as a rollback would."""
    (record,) = records(server)
    with server.client as client, client.pipeline() as together:
        together.hincrby(HITS_TOTALS, "home", -batches)
        together.hincrby(record.decode(), "seq", -batches)
        together.execute()
