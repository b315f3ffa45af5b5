"""Refusals by Redis that an operator has to resolve: rights, passwords, writes."""

import time

import structlog
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
)

REFUSING = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED")
"""How other errors begin that say so."""
COMMAND_MEMORY = 60.0
"""Seconds."""
MAX_PAUSE = 5.0
"""The most seconds between two attempts at what was refused or has failed."""


class Refusals:
    """The refusals of now, by part ("the connection", "the channel news"); one log line each."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._commands: dict[str, tuple[float, str]] = {}
        self._log = structlog.get_logger("app")

    @property
    def current(self) -> str | None:
        """The reasons in one line; None while nothing is refused."""
        now = time.monotonic()
        self._commands = {part: found for part, found in self._commands.items() if found[0] > now}
        commands = [(part, reason) for part, (_, reason) in self._commands.items()]
        return "; ".join(f"{part}: {reason}" for part, reason in [*self._parts.items(), *commands]) or None

    def note(self, part: str, error: Exception) -> bool:
        """Whether the error is a refusal; logs it once."""
        reason = reason_of(error)
        if reason is None:
            return False
        if part not in self._parts:
            self._log.error("Redis refuses", part=part, reason=reason)
        self._parts[part] = reason
        return True

    def note_command(self, name: str, error: Exception) -> None:
        """A command that the user may not send; it counts as refused until it has not been for COMMAND_MEMORY."""
        part, reason, now = f"the command {name}", reason_of(error), time.monotonic()
        if reason is None:
            return
        if self._commands.get(part, (0.0, ""))[0] < now:
            self._log.error("Redis refuses", part=part, reason=reason)
        self._commands[part] = now + COMMAND_MEMORY, reason

    def clear(self, part: str) -> None:
        if self._parts.pop(part, None) is not None:
            self._log.info("Redis accepts", part=part)


def reason_of(error: Exception) -> str | None:
    """The missing part and the remedy, in one line; None where the error is no refusal."""
    if isinstance(error.__cause__, RedisError):  # redis-py wraps what was answered while connecting
        error = error.__cause__
    text = " ".join(str(error).split())[:200]
    match error:
        case ReadOnlyError():
            return f"the server is a read-only replica: redis_url has to name the primary ({text})"
        case NoPermissionError():
            return f"a right is missing: give it to the user of redis_url with ACL SETUSER ({text})"
        case AuthenticationError() | AuthenticationWrongNumberOfArgsError() | AuthorizationError():
            return f"the user or the password in redis_url is wrong ({text})"
        case _ if text.startswith(REFUSING):
            return f"redis_url is refused ({text})"
        case _:
            return None
