"""The command line: `python -m app [serve|check-config|settings] [--setting value ...]`."""

import argparse
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from app import __version__
from app.manual import settings_manual
from app.settings import CONFIG_VARIABLE, PREFIX, Settings, SettingsError, load_settings
from app.store.connect import topology
from app.store.embedded import Embedded, EmbeddedError, server_binary
from app.web.protocol import OneWriteProtocol

STOP_LIMIT = 5
"""Seconds after which the requests that are still running at the end are cut off."""


class Workers(Multiprocess):
    """uvicorn's supervisor, whose workers hear of a signal at once; uvicorn looks for signals twice a second."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config, [listener])
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)
        self.signal_queue.append(number)

    def handle_hup(self) -> None:
        """Nothing: each worker opens its log file anew. uvicorn would restart them all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code is 2 where settings or surroundings have to be changed first."""
    arguments = _parser().parse_args(argv)
    given = {name: value for name in Settings.model_fields if (value := getattr(arguments, name)) is not None}
    try:
        if arguments.command == "settings":
            print(settings_manual(), end="")
            return 0
        settings = load_settings(given, arguments.config)
        _check(settings)
        if arguments.command == "check-config":
            print("tallygate: the settings are good")
            return 0
        return serve(settings, given, arguments.config)
    except (SettingsError, EmbeddedError) as error:
        print(f"tallygate: {error}", file=sys.stderr)
        return 2


def serve(settings: Settings, given: dict[str, str], config: str | None) -> int:
    """Runs the server until it is told to stop. Raises SettingsError or EmbeddedError when it cannot start."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the service listens to it: it must never end it
    listener = _listener(settings)
    embedded = Embedded(settings.data_dir) if settings.redis_url is None else None
    if embedded is not None:
        embedded.hold()
    _tell_workers(settings, given, config)
    server_config = uvicorn.Config(
        "app.main:app",
        http=OneWriteProtocol,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_LIMIT,
    )
    host, port = listener.getsockname()[:2]
    where = "its own Valkey, data in " + str(settings.data_dir) if embedded else "redis_url"
    print(f"tallygate {__version__}: http://{f'[{host}]' if ':' in host else host}:{port} ({where})", flush=True)
    server = uvicorn.Server(server_config)
    if settings.workers > 1:
        Workers(server_config, listener).run()
        return 0
    server.run(sockets=[listener])
    return 0 if server.started else 3


def _check(settings: Settings) -> None:
    if settings.redis_url is None:
        server_binary()
        return
    try:
        topology(settings.redis_url.get_secret_value(), settings.redis_timeout)
    except ValueError as error:
        raise SettingsError(f"redis_url ({PREFIX}REDIS_URL): {error}") from None


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        raise SettingsError(
            f"port: cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
            f"stop what is there, or set another {PREFIX}PORT or {PREFIX}HOST"
        ) from None
    return listener


def _tell_workers(settings: Settings, given: dict[str, str], config: str | None) -> None:
    """Leaves in the environment what the command line said: it is how workers, started anew, learn of it."""
    for name, value in given.items():
        os.environ[PREFIX + name.upper()] = value
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(Path(config).absolute())
    if settings.workers > 1 and settings.metrics_file is None:
        handle, path = tempfile.mkstemp(prefix="tallygate-metrics-")
        os.close(handle)
        os.environ[PREFIX + "METRICS_FILE"] = path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Tallygate signs people in and counts every visit."
    )
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=("serve", "check-config", "settings"),
        help="serve (the default), only check the settings, or print their manual (docs/settings.md)",
    )
    parser.add_argument("--version", action="version", version=f"tallygate {__version__}")
    parser.add_argument("--config", metavar="FILE", help=f"TOML file with settings (also {CONFIG_VARIABLE})")
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=(field.description or "").replace("%", "%%")
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
