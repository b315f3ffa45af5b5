"""Days and hours of a site's time zone. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

HOUR = 3600
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Years of queried and imported days."""


@dataclass(frozen=True, slots=True)
class TimeSlot:
    """An hour of a day in a time zone: hits of one slot are counted together."""

    day: str
    """YYYYMMDD."""
    hour: int
    """Whole hours since the day began: 0 to 22, 23 or 24 where clocks are put forward or back."""
    begins: float
    ends: float
    day_ends: float


@lru_cache(maxsize=512)
def cached_zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


class Calendar:
    """The present slot of each time zone; cached until the hour ends."""

    def __init__(self) -> None:
        self._slots: dict[str, TimeSlot] = {}

    def slot(self, zone_name: str, now: float) -> TimeSlot:
        slot = self._slots.get(zone_name)
        if slot is None or not slot.begins <= now < slot.ends:
            slot = self._slots[zone_name] = time_slot(cached_zone(zone_name), now)
        return slot


def time_slot(place: tzinfo, now: float) -> TimeSlot:
    today = datetime.fromtimestamp(now, place).date()
    midnight, next_midnight = day_begins(today, place), day_begins(today + timedelta(days=1), place)
    hour = int((now - midnight) // HOUR)
    begins = midnight + hour * HOUR
    return TimeSlot(f"{today:%Y%m%d}", hour, begins, min(begins + HOUR, next_midnight), next_midnight)


def day_begins(day: date, place: tzinfo) -> float:
    """The beginning of the day in Unix seconds; its first hour may be missing where clocks go forward at midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=place).astimezone(UTC).timestamp()


def day_of(now: float, place: tzinfo) -> date:
    return datetime.fromtimestamp(now, place).date()


def parse_day(text: str) -> date:
    """YYYY-MM-DD. Raises ValueError."""
    try:
        if len(text) == 10 and text[4] == text[7] == "-":
            return usual_day(date.fromisoformat(text))
    except ValueError:
        pass
    raise ValueError("must be a day, such as 2026-11-28")


def usual_day(day: date) -> date:
    """Raises ValueError for a day that is beyond FIRST_YEAR and LAST_YEAR."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"must be between {FIRST_YEAR} and {LAST_YEAR}")
    return day


def compact(day: date) -> str:
    return f"{day:%Y%m%d}"


def from_compact(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def months(first: date, last: date) -> Iterator[date]:
    """The first days of the months from `first`'s to `last`'s."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)


def next_month(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
