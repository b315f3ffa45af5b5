"""The certificate authorities that outgoing requests trust."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.lazy import LazyModule
from app.settings import PREFIX, SettingsError

if TYPE_CHECKING:
    import httpx
else:
    httpx = LazyModule("httpx")


@lru_cache(maxsize=4)  # parsing the public authorities takes 50 ms
def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the public certificate authorities and those of a PEM file. Raises SettingsError."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        reason = "it holds no good PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"oauth_ca_file ({PREFIX}OAUTH_CA_FILE): {ca_file} cannot be used ({reason})") from None
    return context


async def trusted_in_thread(ca_file: Path | None) -> ssl.SSLContext:
    """`trusted`, without holding up the event loop. Raises SettingsError."""
    return await asyncio.to_thread(trusted, ca_file)


def trusted_when_used(ca_file: Path | None) -> Callable[[], Awaitable[ssl.SSLContext]]:
    """The context is made at its first use; only a file is read at once. Raises SettingsError."""
    if ca_file is not None:
        trusted(ca_file)
    return partial(trusted_in_thread, ca_file)
