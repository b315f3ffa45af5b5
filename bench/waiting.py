"""How late are those who wait for a change? `python -m bench.waiting` holds long polls and changes the namespace."""

import argparse
import asyncio
import statistics
import time

from bench.arena import Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE_CONFIG
from bench.machine import BenchError, on_core
from bench.storm import Client

ALLOWED = 0.1
"""Seconds that the slowest of a hundred may be late."""
PATCH = {"Content-Type": "application/merge-patch+json"}
PATH = "/api/config/tallygate"


def main() -> int:
    """Time from a change until every long poll has its answer; the exit code is 1 when it is too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--waiting", type=positive, default=1000, help="long polls (1000)")
    parser.add_argument("--changes", type=positive, default=5, help="changes, one after the other (5)")
    options = parser.parse_args()
    with arena() as place, place.serve(TALLYGATE_CONFIG) as server, on_core(place.cores.others):
        late = asyncio.run(_changes(server, options.waiting, options.changes))
    slowest = statistics.quantiles(late, n=100)[98]
    print(f"{options.waiting} waiting: median {statistics.median(late) * 1e3:.1f} ms, p99 {slowest * 1e3:.1f} ms late")
    return int(slowest > ALLOWED)


async def _changes(server: Server, waiting: int, changes: int) -> list[float]:
    port = int(server.url.split(":")[2].partition("/")[0])
    clients = [await Client.connected(port) for _ in range(waiting)]
    writer, late = await Client.connected(port), list[float]()
    headers = {name: value for name, value in server.headers.items() if name.lower() != "if-none-match"}
    version = 1

    async def wait(client: Client) -> float:
        status = await client.ask("GET", f"{PATH}?wait=60", headers | {"If-None-Match": f'"{version}"'})
        if status != 200:
            raise BenchError(f"a long poll was answered with {status}")
        return time.perf_counter()

    for number in range(changes):
        polls = [asyncio.create_task(wait(client)) for client in clients]
        await asyncio.sleep(2)
        changed = time.perf_counter()
        body = b'{"announcement": "Number %d"}' % number
        if await writer.ask("PATCH", PATH, headers | PATCH, body) != 200:
            raise BenchError("the change was refused")
        late += [at - changed for at in await asyncio.gather(*polls)]
        version += 1
    return late


if __name__ == "__main__":
    run(main)
