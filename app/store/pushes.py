"""Push messages of a tracked connection, which arrive among the replies (RESP3)."""

from typing import Any, NamedTuple, Protocol

from redis.asyncio.connection import AbstractConnection


class Invalidation:
    """An invalidation among the replies: of these keys, or of all (None)."""

    def __init__(self, keys: list[bytes] | None) -> None:
        self.keys = keys


class Message(NamedTuple):
    """A message of a channel among the replies."""

    channel: str
    data: bytes


class Tracker(Protocol):
    """Receives the invalidations of connections (CLIENT TRACKING), and their messages (SUBSCRIBE)."""

    def opened(self) -> None:
        """A connection is up."""

    def changed(self, keys: list[bytes] | None) -> None:
        """Invalidates these keys, or all (None)."""

    def message(self, channel: str, data: bytes) -> None:
        """A message of a channel."""

    def lost(self, connection: object) -> None:
        """A connection is lost: everything is invalid, and messages are missing."""


def receive_pushes(connection: AbstractConnection) -> None:
    """Has `read_response(push_request=True)` return Invalidations and Messages."""

    async def invalidated(push: list[Any]) -> Invalidation:
        return Invalidation(push[1])

    async def published(push: list[Any]) -> Any:
        # The confirmation of SUBSCRIBE stays as it is: it is the reply to the command.
        return Message(push[1].decode(), push[2]) if push[0] == b"message" else push

    # redis-py offers client-side tracking only in its synchronous client; the parser supports it.
    parser: Any = connection._parser
    parser.set_invalidation_push_handler(invalidated)
    parser.set_pubsub_push_handler(published)
