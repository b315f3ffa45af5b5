"""What a hit of a counted site costs: `python -m bench.sites`, beside uvicorn's hello world and, where the program
`goatcounter` is on the PATH, GoatCounter; all on one core.

GoatCounter 2.7 is built with Go and a C compiler: `go build zgo.at/goatcounter/v2/cmd/goatcounter` in a new module that
requires zgo.at/goatcounter/v2 v2.7.0 and has that module's go.sum.
"""

import argparse
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import orjson
import redis

from app.sites.models import bucket_of
from app.store import keys
from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE, Contestant
from bench.load import CONNECTIONS, Answers, _parse
from bench.machine import on_core

SCRIPT = Path(__file__).parent / "hits.lua"
HELLO = Contestant(
    "hello",
    "{python} -m uvicorn --host 127.0.0.1 --port {port} --loop uvloop --http httptools"
    " --no-access-log --log-level warning --lifespan off bench.peers.hello:app",
)
HITS = Contestant(
    "hits",
    TALLYGATE,
    path="/live",
    environment={"TALLYGATE_TRUSTED_PROXIES": "127.0.0.1", "TALLYGATE_METRICS_PORT": "{spare_port}"},
)
GOATCOUNTER = Contestant(
    "goatcounter",
    "goatcounter serve -listen 127.0.0.1:{port} -tls http -db sqlite+{folder}/db.sqlite3 -ratelimit count:1000000/1",
    path="/count?p=/",
    prepare="goatcounter db create site -createdb -db sqlite+{folder}/db.sqlite3 -vhost 127.0.0.1"
    " -user.email bench@example.org -user.password benchbench",
)
GOATCOUNTER_STORES = 12
"""Seconds until GoatCounter has surely stored its last hits, which it does every 10 seconds."""
SITES = 2000
REST = 32
"""Milliseconds between two hits of a connection: 64 of them ask 2,000 times a second together."""
Shape = tuple[int, int, int, int]
SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 0),
    (1, 1000, 10_000, 0),
    (SITES, 10, 10_000, 0),
    (1, 10, 10_000, REST),
    (SITES, 10, 10_000, REST),
)
"""Sites, pages, visitors, rest."""
SENT = ("eval", "evalsha", "waitaof", "wait", "info", "publish", "hgetall")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sites", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=5, help="seconds of load in a round (5)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    with arena() as place:
        make_sites(place)
        for _ in range(options.rounds):
            for shape in SHAPES:
                _measure(place, options.seconds, _hello(place, options.seconds, shape), shape)
            if shutil.which("goatcounter"):
                _measure_goatcounter(place, options.seconds, _hello(place, options.seconds, SHAPES[1]), SHAPES[1])
    return 0


def make_sites(place: Arena) -> None:
    """Sites bench00000 to bench01999, of a user that nobody is."""
    client = redis.Redis(unix_socket_path=place.valkey.url.removeprefix("unix://"))
    settings = orjson.dumps({"name": "Bench", "hosts": ["blog.example"], "time_zone": "UTC"})
    for number in range(SITES):
        site = f"bench{number:05d}"
        fields = {"settings": settings, "owner": "nobody", "created": "0", "revision": "0"}
        client.hset(keys.site(bucket_of(site), site), mapping=fields)  # type: ignore[arg-type]


def _hello(place: Arena, seconds: int, shape: Shape) -> float:
    """The cost of a request with the same headers and rest, just before hits are measured: machines change their pace.
    One request is repeated: wrk writes different ones too slowly to keep this server busy, which makes each dearer.
    """
    asked = (1, 1, 1, shape[3])
    with place.serve(HELLO) as server:
        _wrk(place, server, 1, asked)
        before = server.process.usage().cpu
        answers = _wrk(place, server, seconds, asked)
        return (server.process.usage().cpu - before) / answers.count * 1e6


def _measure(place: Arena, seconds: int, hello: float, shape: Shape) -> None:
    with place.serve(replace(HITS)) as server:
        _wrk(place, server, 2 if shape[0] == 1 else 12, shape)  # until every site was met
        cpu, redis_cpu, commands = server.process.usage().cpu, place.valkey.cpu(), _commands(place)
        answers = _wrk(place, server, seconds, shape)
        count = answers.count
        cpu = (server.process.usage().cpu - cpu) / count * 1e6
        redis_cpu = (place.valkey.cpu() - redis_cpu) / count * 1e6
        commands = (_commands(place) - commands) / count
    print(
        f"{shape[0]} sites, {shape[1]} pages, {shape[2]} visitors: {count / answers.seconds:.0f}/s, {cpu:.1f} us "
        f"({hello / cpu:.2f} of hello, {hello:.1f}), Redis {redis_cpu:.1f} us, {commands:.3f} commands a hit, "
        f"{answers.refused} refused"
    )


def _measure_goatcounter(place: Arena, seconds: int, hello: float, shape: Shape) -> None:
    with place.serve(GOATCOUNTER) as server:
        before = server.process.usage().cpu
        answers = _wrk(place, server, seconds, shape, "goatcounter")
        time.sleep(GOATCOUNTER_STORES)
        cpu = (server.process.usage().cpu - before) / answers.count * 1e6
    print(
        f"goatcounter, {shape[1]} pages, {shape[2]} visitors: {answers.count / answers.seconds:.0f}/s, {cpu:.1f} us "
        f"({hello / cpu:.2f} of hello, {hello:.1f}), {answers.refused} refused"
    )


def _commands(place: Arena) -> float:
    """Scripts, barriers and looks at the server; commands inside scripts are not among them."""
    stats = place.valkey._info("commandstats")
    return float(sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SENT))


def _wrk(place: Arena, server: Server, seconds: int, shape: Shape, protocol: str = "tallygate") -> Answers:
    url = server.url.removesuffix(server.contestant.path)
    arguments = [*map(str, shape), protocol]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(SCRIPT), url, "--", *arguments]
    with on_core(place.cores.others):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _parse(done.stdout, done.stderr)


if __name__ == "__main__":
    run(main)
