"""The parts of a command: its declaration, its invocation, and access to the store."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from app.http_client.tls import trusted
from app.settings import Settings, load_settings
from app.settings.topology import open_topology, topology_at
from app.store.client import Store, StoreUnavailable
from app.store.embedded import server_binary
from app.store.topology import Topology
from app.store.transfer.nodes import Nodes

T = TypeVar("T")


class CommandError(Exception):
    """The command cannot be done; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """`given`: settings of the command line by name; `config`: the path of `--config`; `options`: the command's own."""

    given: Mapping[str, str]
    config: str | None
    options: argparse.Namespace

    def named(self, command: str, what: str) -> str:
        """The option `name`. Raises CommandError."""
        name: str | None = self.options.name
        if not name:
            raise CommandError(f"{command}: name {what}: python -m app {command} NAME")
        return name

    def settings(self) -> Settings:
        """Loads and checks the settings. Raises SettingsError, EmbeddedError."""
        settings = load_settings(self.given, self.config)
        if settings.redis_url is None:
            server_binary()
        else:
            topology_at(settings.redis_url, settings)
        if settings.oauth_ca_file is not None:
            trusted(settings.oauth_ca_file)
        return settings


@dataclass(frozen=True, slots=True)
class Command:
    """`run` returns the exit code. `add_options` declares the command's own arguments; by default there are none."""

    run: Callable[[Invocation], int]
    add_options: Callable[[argparse.ArgumentParser], object] = lambda _: None


def with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Runs `work` on the store of the settings; the embedded one is started for it. Raises CommandError."""

    async def run(topology: Topology) -> T:
        async with Store(topology, settings.redis_timeout) as store:
            return await work(store)

    return _with_topology(settings, run)


def with_nodes(settings: Settings, work: Callable[[Nodes], Awaitable[T]]) -> T:
    """Runs `work`, on all keys of all nodes, as `with_store` does."""

    async def run(topology: Topology) -> T:
        async with Nodes(topology) as nodes:
            return await work(nodes)

    return _with_topology(settings, run)


def _with_topology(settings: Settings, run: Callable[[Topology], Coroutine[None, None, T]]) -> T:
    with ExitStack() as stack:
        topology = open_topology(settings, stack)
        try:
            return asyncio.run(run(topology))
        except StoreUnavailable as error:
            raise CommandError(f"Redis does not answer ({error})") from None
