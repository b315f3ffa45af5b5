"""Mails, and the jobs that become mails when they are sent. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain text to one address."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Job:
    """The facts of a mail. It is composed at each attempt, so the queue holds no reset link.

    `tries` counts the attempts that failed.
    """

    kind: str
    facts: Mapping[str, str]
    tries: int = 0


Composer = Callable[[Job], Awaitable[Mail | None]]
"""Returns None if there is nothing to send (any more). Raises StoreUnavailable."""
