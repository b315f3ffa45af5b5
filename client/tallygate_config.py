"""A client of Tallygate's configuration service. One file, needs httpx only: copy it into your project.

    config = await Config.open("https://sign-in.example.com", token, "shop", cache="shop.json")
    config["price"]
    config.on_change(lambda changed: print("changed:", changed))
    ...
    await config.close()

It waits for changes by long polling. The last known values are kept in the file `cache`, so that a service starts
while Tallygate is away.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

WAIT = 30
"""Seconds of one long poll: below the 60 s after which many proxies cut a silent connection."""
RETRY_FIRST, RETRY_MAX = 0.5, 30.0
"""Seconds between attempts while Tallygate is away: doubled from the first to the most, with jitter."""
log = logging.getLogger("tallygate.config")
Callback = Callable[[frozenset[str]], object]


class ConfigUnavailable(Exception):
    """Tallygate does not answer, and no values are kept."""


class Config(Mapping[str, Any]):
    """The values of a namespace, which follow its changes until `close`."""

    def __init__(self, client: httpx.AsyncClient, namespace: str, cache: str | os.PathLike[str] | None) -> None:
        self._client = client
        self._path = f"/api/config/{namespace}"
        self._cache = Path(cache) if cache is not None else None
        self._values: dict[str, Any] = {}
        self._tag: str | None = None
        self._callbacks: list[Callback] = []
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        token: str,
        namespace: str,
        *,
        cache: str | os.PathLike[str] | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> "Config":
        """Reads the values, from Tallygate or else from `cache`, and follows them.

        Raises ConfigUnavailable, and httpx.HTTPStatusError for a token or a namespace that is refused.
        """
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if client is None:
            client = httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(10, read=WAIT + 15))
        client.headers.update(headers)
        config = cls(client, namespace, cache)
        try:
            await config._poll(wait=0)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500 or not config._load():
                await client.aclose()
                raise
        except (httpx.TransportError, ValueError) as error:  # the latter: something else answers in its place
            if not config._load():
                await client.aclose()
                raise ConfigUnavailable(f"{url} does not answer, and no values are kept: {error}") from None
        config._task = asyncio.create_task(config._follow())
        return config

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def version(self) -> int:
        """The version of the values; 0 where it is not known."""
        text = (self._tag or "").removeprefix("W/").strip('"')
        return int(text) if text.isdigit() else 0

    def on_change(self, callback: Callback) -> Callback:
        """Calls back with the keys that changed. Works as a decorator, too."""
        self._callbacks.append(callback)
        return callback

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def __aenter__(self) -> "Config":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self) -> None:
        pause = RETRY_FIRST
        while True:
            try:
                asked = time.monotonic()
                if await self._poll(wait=WAIT):
                    # Many clients are told at once: they do not all come back in the same millisecond.
                    await asyncio.sleep(random.uniform(0, 0.05))
                elif time.monotonic() - asked < RETRY_FIRST:  # it did not wait: Tallygate stops, or a proxy answered
                    await asyncio.sleep(RETRY_FIRST * random.uniform(0.5, 1))
                pause = RETRY_FIRST
            except (httpx.HTTPError, ValueError) as error:
                log.warning("configuration is not up to date: %s", error)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, RETRY_MAX)

    async def _poll(self, wait: int) -> bool:
        """Returns whether the values are new."""
        headers = {"If-None-Match": self._tag} if self._tag is not None else {}
        response = await self._client.get(self._path, params={"wait": wait} if wait else None, headers=headers)
        if response.status_code == 304:
            return False
        response.raise_for_status()
        values = response.json()
        if not isinstance(values, dict):
            raise ValueError("the response is no JSON object")  # noqa: TRY004 - retried as any bad response
        self._tag = response.headers.get("etag")
        self._take(values)
        self._save()
        return True

    def _take(self, values: dict[str, Any]) -> None:
        before, self._values = self._values, values
        changed = frozenset(
            key
            for key in {*before, *values}
            if key not in before or key not in values or json.dumps(before[key]) != json.dumps(values[key])
        )
        for callback in self._callbacks if changed else ():
            try:
                callback(changed)
            except Exception:
                log.exception("a callback of the configuration raised")

    def _load(self) -> bool:
        if self._cache is None:
            return False
        try:
            kept = json.loads(self._cache.read_text("utf-8"))
            values = dict(kept["values"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        self._values = values
        return True

    def _save(self) -> None:
        """Replaces the file in one step, readable by its owner only: values may be secret."""
        if self._cache is None:
            return
        text = json.dumps({"version": self.version, "values": self._values}, ensure_ascii=False)
        try:
            descriptor, name = tempfile.mkstemp(dir=self._cache.parent, prefix=f".{self._cache.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(name).replace(self._cache)
            except OSError:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise
        except OSError as error:
            log.warning("the configuration cannot be kept in %s: %s", self._cache, error)
