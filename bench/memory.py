"""Does the service leak? `python -m bench.memory` compares its memory early and late in a long load."""

import argparse
import time

from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE_JSON
from bench.load import load_until, require_wrk
from bench.machine import BenchError

EARLY = 10_000
"""Requests after which everything that is made once has been made."""
SETTLE = 2.0
"""Seconds between the end of the load and the reading."""


def main() -> int:
    """Load one worker to 10,000 requests, then to many; print its memory at both, and the growth."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--requests", type=positive, default=1_000_000, help="requests in all (1,000,000)")
    options = parser.parse_args()
    require_wrk()
    with arena() as place, place.serve(TALLYGATE_JSON) as server:
        early = _memory_after(EARLY, place, server)
        late = _memory_after(options.requests, place, server)
    print(f"Growth: {(late / early - 1) * 100:+.1f} %")
    return 0


def _memory_after(requests: int, place: Arena, server: Server) -> float:
    """Resident memory, in MiB, of all the service's processes once so many requests have been counted."""
    contestant = server.contestant

    def enough() -> bool:
        server.process.check()
        return place.valkey.read(contestant.total) >= requests

    answers = load_until(enough, server.url, contestant.headers, place.cores.others)
    time.sleep(SETTLE)
    counted = place.valkey.read(contestant.total)
    if counted < requests or answers.refused:
        raise BenchError(f"{counted:,} requests counted, {answers.refused:,} refused: memory says nothing")
    memory = server.process.usage().rss / 2**20
    print(f"After {counted:>11,} requests: {memory:7.1f} MiB", flush=True)
    return memory


if __name__ == "__main__":
    run(main)
