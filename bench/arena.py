"""Where the contestants meet: one at a time, each started afresh for every round."""

import http.client
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bench.contestants import PASSWORD, SIGN_IN_FORM, Contestant
from bench.load import load
from bench.machine import PEERS, ROOT, BenchError, Cores, choose_cores
from bench.processes import Process, running
from bench.valkey import Valkey, running_valkey

DEADLINE = 20.0
"""Seconds until a server must have answered."""
WARM_UP = 1
"""Seconds of load before each round, not counted."""


@dataclass(frozen=True)
class Sample:
    """One round of one contestant; CPU in microseconds per request, of all its processes."""

    rate: float
    cpu: float
    redis_cpu: float
    redis_commands: float
    refused: int
    broken: int
    surplus: int | None
    """Counted in Redis, less answered: 0 to 64, what was in flight when the load ended."""


class _Readings(NamedTuple):
    """Seconds of CPU and numbers of commands, from the start."""

    cpu: float
    redis_cpu: float
    redis_commands: int


@dataclass(frozen=True)
class Server:
    """A contestant that runs and has answered."""

    contestant: Contestant
    process: Process
    url: str
    headers: Mapping[str, str]


class Arena:
    """A folder, a Redis and two cores, shared by everybody who takes part."""

    def __init__(self, folder: Path, valkey: Valkey, cores: Cores) -> None:
        self.valkey = valkey
        self.cores = cores
        self._folder = folder

    @contextmanager
    def serve(self, contestant: Contestant) -> Iterator[Server]:
        """Run a contestant until the block ends; inside it has answered once."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            port, spare_port = free_ports(2)
            words = {
                "python": sys.executable,
                "peers": str(PEERS / "bin"),
                "port": str(port),
                "spare_port": str(spare_port),
                "redis_url": self.valkey.url,
                "folder": name,
            }
            command = [word.format(**words) for word in shlex.split(contestant.command)]
            environment = {key: value.format(**words) for key, value in contestant.environment.items()}
            environment["REDIS_URL"] = self.valkey.url
            if contestant.prepare:
                prepare = [word.format(**words) for word in shlex.split(contestant.prepare)]
                subprocess.run(prepare, input=PASSWORD, text=True, cwd=ROOT, capture_output=True, check=False)
            with running(command, folder, self.cores.server, environment) as process:
                headers = dict(contestant.headers)
                if contestant.sign_in:
                    wait_until_answered(port, contestant.sign_in, headers, process, self.valkey.process)
                    headers["Cookie"] = signed_in(port, contestant.sign_in)
                wait_until_answered(port, contestant.path, headers, process, self.valkey.process)
                yield Server(contestant, process, f"http://127.0.0.1:{port}{contestant.path}", headers)

    def measure(self, contestant: Contestant, seconds: int) -> Sample:
        """One round: start, warm up, load for so many seconds, stop."""
        with self.serve(contestant) as server:
            load(server.url, server.headers, WARM_UP, self.cores.others)
            total = self._total(contestant)
            before = self._readings(server)
            answers = load(server.url, server.headers, seconds, self.cores.others)
            after = self._readings(server)
            counted = self._total(contestant) - total
        if not answers.count:
            raise BenchError(f"{contestant.name} answered nothing in {seconds} s")
        return Sample(
            rate=answers.count / answers.seconds,
            cpu=(after.cpu - before.cpu) / answers.count * 1e6,
            redis_cpu=(after.redis_cpu - before.redis_cpu) / answers.count * 1e6,
            redis_commands=(after.redis_commands - before.redis_commands) / answers.count,
            refused=answers.refused,
            broken=answers.broken,
            surplus=counted - answers.count if contestant.total else None,
        )

    def _total(self, contestant: Contestant) -> int:
        return self.valkey.read_settled(contestant.total) if contestant.total else 0

    def _readings(self, server: Server) -> _Readings:
        return _Readings(server.process.usage().cpu, self.valkey.cpu(), self.valkey.commands())


@contextmanager
def arena() -> Iterator[Arena]:
    """An arena in a temporary folder, with its Redis running."""
    cores = choose_cores()
    if cores.server is None:
        print("Fewer than two cores to choose from: nothing is pinned, and the numbers will scatter.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallygate-bench-")))
        valkey = stack.enter_context(running_valkey(folder / "valkey", cores.others))
        yield Arena(folder, valkey, cores)


def lacking(contestant: Contestant) -> str | None:
    """What a contestant lacks to take part, or None."""
    program = Path(shlex.split(contestant.command)[0].format(python=sys.executable, peers=PEERS / "bin"))
    return None if program.exists() else f"{contestant.name} is left out: there is no {program.relative_to(ROOT)}"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def signed_in(port: int, path: str) -> str:
    """The Cookie header of who has signed in by this form."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, urlencode(SIGN_IN_FORM), form)
        answer = connection.getresponse()
        cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", [])]
    finally:
        connection.close()
    if not cookies:
        raise BenchError(f"signing in at {path} set no cookie, but answered {answer.status}")
    return "; ".join(cookies)


def wait_until_answered(port: int, path: str, headers: Mapping[str, str], *processes: Process) -> None:
    """Return with the first answer that is no error of the server's, asked for every 5 ms; raise if a process ends."""
    end = time.monotonic() + DEADLINE
    said = "nothing"
    while time.monotonic() < end:
        for each in processes:
            each.check()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        try:
            connection.request("GET", path, headers=dict(headers))
            status = connection.getresponse().status
            if status in {200, 304, 405}:  # 405: there is such a path, for a form
                return
            said = f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        finally:
            connection.close()
        time.sleep(0.005)
    raise BenchError(f"{path} did not answer with 200 within {DEADLINE:g} s, but with {said}")
