"""The command: `python -m bench` measures everybody in turn, prints the table and writes it down."""

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import report
from bench.arena import Arena, Sample, arena, lacking
from bench.command import positive, run
from bench.contestants import CONTESTANTS, Contestant
from bench.load import CONNECTIONS, require_wrk, wrk_version
from bench.machine import BenchError, describe, peer_versions

BUSY = 0.5
"""The load average above which somebody else is using the machine."""


def main() -> int:
    """Measure, print, write; 1 if an answer or a count was wrong."""
    options = _options()
    require_wrk()
    chosen = [each for each in CONTESTANTS if not options.only or each.name in options.only]
    ready = [each for each in chosen if _is_ready(each)]
    if not ready:
        raise BenchError("nobody is left to measure")
    busy = os.getloadavg()[0]
    if busy > BUSY:
        print(f"Load average {busy:.1f}: the machine is in use, and the numbers will scatter.")
    today = datetime.now(UTC).date()
    with arena() as place:
        circumstances = [
            f"{today}: {options.rounds} interleaved rounds of {options.seconds} s, {CONNECTIONS} connections",
            f"Machine: {describe()}; {place.cores}; load average {busy:.1f} before the run",
            f"Versions: Valkey {place.valkey.version}, wrk {wrk_version()}; peers: {peer_versions()}",
        ]
        samples = _measure_all(place, ready, options.rounds, options.seconds)
    block = report.block(circumstances, samples)
    print(f"\n{block}")
    if not (options.no_write or options.only):  # a part would take the place of the whole
        report.write(block)
    return 1 if report.faults(samples) else 0


def _options() -> argparse.Namespace:
    names = [each.name for each in CONTESTANTS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="rounds of each server (5)")
    parser.add_argument("--seconds", type=positive, default=5, help="seconds of load in a round (5)")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"only these, and write nothing: {', '.join(names)}"
    )
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    return parser.parse_args()


def _is_ready(contestant: Contestant) -> bool:
    reason = lacking(contestant)
    if reason:
        print(reason)
    return reason is None


def _measure_all(place: Arena, ready: Sequence[Contestant], rounds: int, seconds: int) -> dict[str, list[Sample]]:
    """Everybody once, then everybody once more: whatever changes on the machine meanwhile hits all alike."""
    samples: dict[str, list[Sample]] = {each.name: [] for each in ready}
    for number in range(1, rounds + 1):
        for each in ready:
            sample = place.measure(each, seconds)
            samples[each.name].append(sample)
            print(f"round {number}/{rounds}  {each.name:24}{sample.rate:9,.0f}/s{sample.cpu:9.1f} µs", flush=True)
    return samples


if __name__ == "__main__":
    run(main)
