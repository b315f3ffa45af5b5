"""`python -m app [serve]`: runs the service."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app import __version__
from app.cli.command import Command, Invocation
from app.observability.log import LogFile
from app.server.lifecycle import open_missing_descriptors
from app.server.listener import listener
from app.server.protocol import OneWriteProtocol
from app.server.workers import START_LIMIT, STOP_LIMIT, Workers
from app.settings import CONFIG_VARIABLE, PREFIX, Settings, SettingsError
from app.store.embedded import Embedded


def run(invocation: Invocation) -> int:
    return serve(invocation.settings(), invocation.given, invocation.config)


def serve(settings: Settings, given: Mapping[str, str], config: str | None) -> int:
    """Runs the server until it is told to stop. Raises SettingsError or EmbeddedError when it cannot start."""
    open_missing_descriptors()
    _ignore_early_signals()
    LogFile(settings.log_file).close()
    if settings.metrics_port is not None:
        # Opened unshared once: a port shared with another service would serve its metrics by turns.
        listener(settings.host, settings.metrics_port, setting="metrics_port").close()
    public = listener(settings.host, settings.port, setting="port")
    embedded = Embedded(settings.data_dir) if settings.redis_url is None else None
    if embedded is not None:
        embedded.hold()
    server_config = uvicorn.Config(
        "app.main:app",
        http=OneWriteProtocol,
        ws="none",
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        log_level="error" if settings.log_level == "error" else "warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=STOP_LIMIT,
        timeout_worker_healthcheck=START_LIMIT,
    )
    host, port = public.getsockname()[:2]
    where = "its own Valkey, data in " + str(settings.data_dir) if embedded else "redis_url"
    print(f"tallygate {__version__}: http://{f'[{host}]' if ':' in host else host}:{port} ({where})", flush=True)
    with _environment_for_workers(settings, {**given, "port": str(port)}, config):
        if settings.workers > 1:
            workers = Workers(server_config, public)
            workers.run()
            return 2 if any(process.exitcode == STARTUP_FAILURE for process in workers.processes) else 0
        server = uvicorn.Server(server_config)
        server.run(sockets=[public])
    return 0 if server.started else 2


def _ignore_early_signals() -> None:
    """Until the lifespan handles signals: ignores SIGHUP and SIGUSR1, and exits with 0 at SIGTERM and SIGINT."""
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again after its stop
        signal.signal(number, lambda *_: sys.exit(0))


@contextmanager
def _environment_for_workers(settings: Settings, given: Mapping[str, str], config: str | None) -> Iterator[None]:
    """Puts the command line's settings into the environment, where spawned workers read them."""
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


command = Command(run)
