"""A Sentinel of the tests' own, which watches a primary and its replica."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from app.store.embedded import server_binary
from tests.helpers.sockets import PATIENCE, free_port
from tests.helpers.waiting import until

SERVICE = "visits"
PASSWORD = "of sentinel"


class Sentinel:
    """Fails over when the primary has been silent for long: it may only have no processor."""

    def __init__(self, folder: Path, primary: int) -> None:
        self.port = free_port()
        folder.mkdir()
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\n"
            f"dir {folder}\n"
            f"logfile {folder}/sentinel.log\n"
            f"requirepass {PASSWORD!r}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 30000\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=PATIENCE, decode_responses=True)

    def start(self) -> None:
        self._process = subprocess.Popen([server_binary(), str(self._config), "--sentinel"])
        until(self._knows_the_replica)

    def lose_patience(self) -> None:
        """Half a second of silence is enough from now on."""
        with self.client as client:
            client.sentinel_set(SERVICE, "down-after-milliseconds", 500)

    def _knows_the_replica(self) -> bool:
        with suppress(redis.ConnectionError, redis.TimeoutError), self.client as client:
            return any(replica["is_slave"] for replica in client.sentinel_slaves(SERVICE))
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)


@contextmanager
def sentinel(folder: Path, primary: int) -> Iterator[Sentinel]:
    watcher = Sentinel(folder, primary)
    try:
        watcher.start()
        yield watcher
    finally:
        watcher.stop()
