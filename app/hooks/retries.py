"""The delay before the next attempt of a delivery: setting `webhook_retries`, and what the receiver asks. Pure."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

JITTER = 0.1
"""The random part of a delay, which spreads attempts over time."""
MAX_RETRY_AFTER = 86_400
BUSY_STATUSES = frozenset({429, 502, 504})
SLOW_DOWN_SECONDS = 60
GONE = 410


def delay(
    schedule: Sequence[float], tries: int, chance: float, status: int | None, retry_after: str, now: float
) -> float | None:
    """Seconds until the next attempt after `tries` failed ones; None after the last.

    `chance` is a random number from 0 to 1.
    """
    if status == GONE or tries > len(schedule):
        return None
    seconds = schedule[tries - 1] * (1 + JITTER * chance)
    if status in BUSY_STATUSES:
        seconds = max(seconds, SLOW_DOWN_SECONDS)
    return max(seconds, seconds_of(retry_after, now))


def seconds_of(retry_after: str, now: float) -> float:
    """The seconds of a Retry-After header, which is a number or a date; 0 for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(min(int(text), MAX_RETRY_AFTER))
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(at - now, 0.0), MAX_RETRY_AFTER)
