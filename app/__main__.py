"""The command line: `python -m app [serve|check-config|settings|create-admin NAME] [--setting value ...]`."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app import __version__
from app.accounts.command import CommandError, create_admin
from app.http_client.tls import trusted
from app.main import open_topology, topology_at
from app.oauth_client.provider_config import configured
from app.observability.log import LogFile
from app.server.listener import listener
from app.server.protocol import OneWriteProtocol
from app.settings import CONFIG_VARIABLE, PREFIX, Settings, SettingsError, load_settings
from app.settings.docs import settings_manual
from app.store.embedded import Embedded, EmbeddedError, server_binary

COMMANDS = ("serve", "check-config", "settings", "create-admin")
START_LIMIT = 60
"""Seconds within which a worker has to show a first sign of life: uvicorn kills one that does not, and starts another;
its own 5 would be too few on a busy machine, for ever.
"""
STOP_LIMIT = 5
"""Seconds after which the requests that are still running at the end are cut off."""


class Workers(Multiprocess):
    """uvicorn's supervisor, whose workers hear of a signal at once; uvicorn looks for signals twice a second."""

    def __init__(self, config: uvicorn.Config, public: socket.socket) -> None:
        super().__init__(config, [public])
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGCHLD, self._stop_waiting)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)
        self.signal_queue.append(number)
        if number == signal.SIGTERM:
            self.should_exit.set()
            self._answer_for(self.processes)

    def _stop_waiting(self, *_: object) -> None:
        """Of a worker that has died nothing more comes: it is to be replaced now, and not after START_LIMIT."""
        self._answer_for([process for process in self.processes if process.exitcode is not None])

    @staticmethod
    def _answer_for(processes: Sequence[Process]) -> None:
        """Ends uvicorn's wait for a worker's sign of life, at a pipe of which this process has both ends."""
        for process in processes:
            if not process.child_conn.closed:  # as they are once uvicorn ends its workers
                process.child_conn.send(True)

    def handle_hup(self) -> None:
        """Nothing: each worker opens its log file anew. uvicorn would restart them all."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong as every other part does: in one line, without repeating a value that may be a secret."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message.removeprefix("argument "))

    def command_line(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """The arguments. Raises SettingsError."""
        arguments, unknown = self.parse_known_args(argv)
        for name in unknown:
            raise SettingsError(
                f"{name.partition('=')[0]}: there is no such setting; `python -m app --help` lists them"
            )
        if arguments.command not in COMMANDS:
            raise SettingsError(f"{arguments.command}: there is no such command; there are {', '.join(COMMANDS)}")
        if arguments.name and arguments.command != "create-admin":
            raise SettingsError(f"{arguments.name}: {arguments.command} takes no name")
        return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code is 2 where settings or surroundings have to be changed first."""
    try:
        arguments = _parser().command_line(argv)
        given = {name: value for name in Settings.model_fields if (value := getattr(arguments, name)) is not None}
        if arguments.command == "settings":
            print(settings_manual(), end="")
            return 0
        settings = load_settings(given, arguments.config)
        _check(settings)
        if arguments.command == "check-config":
            _check_providers(settings)
            print("tallygate: the settings are good")
            return 0
        if arguments.command == "create-admin":
            return _create_admin(settings, arguments.name)
        return serve(settings, given, arguments.config)
    except (SettingsError, EmbeddedError, CommandError) as error:
        print(f"tallygate: {error}", file=sys.stderr)
        return 2


def serve(settings: Settings, given: dict[str, str], config: str | None) -> int:
    """Runs the server until it is told to stop. Raises SettingsError or EmbeddedError when it cannot start."""
    _mind_signals()
    LogFile(settings.log_file).close()
    if settings.metrics_port is not None:
        # Not shared, as the workers will: another service's metrics must not come from there by turns.
        listener(settings.host, settings.metrics_port, setting="metrics_port").close()
    public = listener(settings.host, settings.port, setting="port")
    embedded = Embedded(settings.data_dir) if settings.redis_url is None else None
    if embedded is not None:
        embedded.hold()
    server_config = uvicorn.Config(
        "app.main:app",
        http=OneWriteProtocol,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        log_level="error" if settings.log_level == "error" else "warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_LIMIT,
        timeout_worker_healthcheck=START_LIMIT,
    )
    host, port = public.getsockname()[:2]
    where = "its own Valkey, data in " + str(settings.data_dir) if embedded else "redis_url"
    print(f"tallygate {__version__}: http://{f'[{host}]' if ':' in host else host}:{port} ({where})", flush=True)
    with _told_to_workers(settings, given | {"port": str(port)}, config):
        if settings.workers > 1:
            workers = Workers(server_config, public)
            workers.run()
            return 2 if any(process.exitcode == STARTUP_FAILURE for process in workers.processes) else 0
        server = uvicorn.Server(server_config)
        server.run(sockets=[public])
    return 0 if server.started else 2


def _create_admin(settings: Settings, name: str | None) -> int:
    if not name:
        raise CommandError("create-admin: name the administrator: python -m app create-admin NAME")
    with ExitStack() as stack:
        nodes = open_topology(settings, stack)
        print(f"tallygate: {asyncio.run(create_admin(nodes, settings.redis_timeout, name))}")
    return 0


def _mind_signals() -> None:
    """Until the service listens to them, no signal ends it but those that should; and those are a success."""
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them once more when it has stopped
        signal.signal(number, lambda *_: sys.exit(0))


def _check(settings: Settings) -> None:
    if settings.redis_url is None:
        server_binary()
    else:
        topology_at(settings.redis_url, settings.redis_timeout)
    if settings.oauth_ca_file is not None:
        trusted(settings.oauth_ca_file)


def _check_providers(settings: Settings) -> None:
    """The service starts without a provider whose table is wrong, and says so in the log."""
    _, mistakes = configured(settings)
    if mistakes:
        raise SettingsError("\ntallygate: ".join(mistakes))


@contextmanager
def _told_to_workers(settings: Settings, given: dict[str, str], config: str | None) -> Iterator[None]:
    """Leaves in the environment what the command line said: it is how workers, started anew, learn of it."""
    for name, value in given.items():
        os.environ[PREFIX + name.upper()] = value
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(Path(config).absolute())
    if settings.workers == 1 or settings.metrics_file is not None:
        yield
        return
    with _metrics_file() as file:
        os.environ[PREFIX + "METRICS_FILE"] = file.name
        yield


def _metrics_file() -> "tempfile._TemporaryFileWrapper[bytes]":
    try:
        return tempfile.NamedTemporaryFile(prefix="tallygate-metrics-")
    except OSError as error:
        raise SettingsError(
            f"metrics_file: the workers' metrics need a file ({error.strerror}): set {PREFIX}METRICS_FILE, "
            "or mount a tmpfs at /tmp"
        ) from None


def _parser() -> Parser:
    parser = Parser(
        prog="python -m app", description="Tallygate signs people in and counts every visit.", allow_abbrev=False
    )
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        metavar="COMMAND",
        help=f"{', '.join(COMMANDS)}: run the service (the default), only check the settings, print their manual, "
        "or make the first administrator (the password is asked for, or read from standard input)",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="create-admin: the administrator's name")
    parser.add_argument("--version", action="version", version=f"tallygate {__version__}")
    parser.add_argument("--config", metavar="FILE", help=f"TOML file with settings (also {CONFIG_VARIABLE})")
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=(field.description or "").replace("%", "%%")
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
