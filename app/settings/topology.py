"""The Redis that the settings name."""

from contextlib import AsyncExitStack, ExitStack

from pydantic import SecretStr

from app.settings import PREFIX, Settings, SettingsError
from app.store.embedded import Embedded
from app.store.redis_url import with_password
from app.store.topology import Single, Topology, topology


def open_topology(settings: Settings, stack: ExitStack | AsyncExitStack) -> Topology:
    """The topology of redis_url or of the embedded server, which is in use until the stack closes.

    Raises SettingsError, EmbeddedError.
    """
    if settings.redis_url is not None:
        return topology_at(settings.redis_url, settings)
    embedded = Embedded(settings.data_dir)
    embedded.hold()
    stack.callback(embedded.release)
    return Single(embedded.url, settings.redis_timeout, prepare=embedded.revive)


def topology_at(url: SecretStr, settings: Settings) -> Topology:
    """Raises SettingsError for TLS files that cannot be used."""
    address, password = url.get_secret_value(), settings.redis_password
    try:
        if password is not None and password.get_secret_value():
            address = with_password(address, password.get_secret_value())
        return topology(address, settings.redis_timeout)
    except ValueError as error:
        raise SettingsError(f"redis_url ({PREFIX}REDIS_URL): {error}") from None
