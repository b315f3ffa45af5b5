"""What a flood of distinct paths, referrers and agents on one site leaves in memory: `python -m bench.flood`."""

import argparse
import subprocess
import time
from pathlib import Path

from app.sites.models import bucket_of
from app.store import keys
from bench.arena import Arena, arena
from bench.command import positive, run
from bench.load import CONNECTIONS, LONGEST
from bench.machine import on_core
from bench.sites import HITS, make_sites

SCRIPT = Path(__file__).parent / "flood.lua"
MB = 1_000_000
TOTAL = f"HGET {keys.site_counts(bucket_of('bench00000'), 'bench00000', 'totals')} visits"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--hits", type=positive, default=1_000_000, help="distinct hits (1,000,000)")
    options = parser.parse_args()
    with arena() as place:
        make_sites(place)
        _flood(place, options.hits)
    return 0


def _flood(place: Arena, hits: int) -> None:
    with place.serve(HITS) as server:
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{LONGEST}s",
            "-s",
            str(SCRIPT),
            server.url.removesuffix("/live"),
        ]
        with on_core(place.cores.others):
            wrk = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for part in range(1, 11):
                while place.valkey.read(TOTAL) < part * hits // 10:
                    server.process.check()
                    time.sleep(0.5)
                redis = int(place.valkey._info("memory")["used_memory"])
                worker = server.process.usage().rss
                print(f"{part * hits // 10:,} hits: worker {worker / MB:.0f} MB, Redis {redis / MB:.1f} MB", flush=True)
        finally:
            wrk.kill()
            wrk.wait()


if __name__ == "__main__":
    run(main)
