"""A batch of hits, summed by site and hour, and the requests that await totals. Pure."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from app.sites.models import Site
from app.sites.site_calendar import TimeSlot
from app.store import keys

HOUR_RETENTION = 14 * 86_400
GRACE = 3600
"""Seconds for which the visitors of a day are told apart after it ended: hits may come late."""
MAX_RECENT = 10
"""Newest hits of a batch that are shown live."""
SMALL_REPORT = 16
"""Shapes and visitors of a slot that is small enough to wait in Redis for others of the site."""
MAX_WAITING_NAMES = 1000
"""CountAPI's names with queued hits: while Redis is away their creation is not limited otherwise."""
MAX_ITEMS = 500
"""Shapes and visitors that one script call handles: a script blocks Redis while it runs."""

REFERRER, COUNTRY, BROWSER, SYSTEM, SCREEN, LANGUAGE, EVENT = "r", "c", "b", "s", "w", "l", "e"
"""The lists of names; a name is stored as `<list>:<name>`."""


class Shape:
    """A visit without its visitor and its time. Compared by identity: finding equal ones costs more than it saves."""

    __slots__ = ("json", "names", "path")

    def __init__(self, path: str, names: tuple[str, ...] = ()) -> None:
        """`names` are `<list>:<name>`, one for each list."""
        self.path = path
        self.names = names
        self.json = orjson.dumps([path, *names])[1:]
        """The form for the script; made once for all visits of this shape."""


@dataclass(frozen=True, slots=True)
class HitTotals:
    """The totals after a hit: visits of the page, visits of the site, visitors of the site."""

    page: int
    """0 for a page beyond the site's limit, which is not counted by itself."""
    site: int
    visitors: int


TotalsFuture = asyncio.Future[HitTotals | None]
ValueFuture = asyncio.Future[int | None]


class SlotCounts:
    """Hits of one site in one hour."""

    __slots__ = (
        "_paths",
        "acknowledged",
        "count",
        "events",
        "items",
        "left_out",
        "owner",
        "recent",
        "shapes",
        "site",
        "slot",
        "visitors",
        "waiting",
    )

    def __init__(self, site: Site, slot: TimeSlot) -> None:
        self.owner = site.id
        self.site = site
        self.slot = slot
        self.shapes: dict[Shape, int] = {}
        self.visitors: list[tuple[bytes, Shape, bool]] = []
        self.left_out: dict[str, int] = {}
        self.events: dict[str, list[str]] = {}
        self.recent: deque[tuple[float, Shape]] = deque(maxlen=MAX_RECENT)
        self.waiting: list[tuple[str, bool, TotalsFuture]] = []
        """(path, whether the hit is a visit of it, the request that awaits totals)."""
        self._paths: list[str] = []
        self.items = 0
        self.count = 0
        """Hits of every kind."""
        self.acknowledged: TotalsFuture | None = None
        """Done when Redis has the hits: for requests that want no totals."""

    def visit(self, shape: Shape, now: float, visitor: str = "", *, known: bool = False) -> None:
        """Adds one visit; `visitor` is empty if the visitor is counted already, or must not be. `known` visitors are
        counted already in this hour, on another page.
        """
        self.count += 1
        count = self.shapes.get(shape, 0)
        self.shapes[shape] = count + 1
        if not count:
            self.items += 1
        if visitor:
            self.visitors.append((visitor.encode(), shape, known))
            self.items += 1
        if shape.names:
            self.recent.append((now, shape))

    def exclude(self, reason: str) -> None:
        self.count += 1
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def event(self, name: str, visitor: str) -> None:
        self.count += 1
        self.events.setdefault(name, []).append(visitor)
        self.items += 1

    def head(self) -> str:
        """The tag, the site, and whether to count now: a small report may wait for others."""
        now = bool(self.waiting) or self.items > SMALL_REPORT
        return f"{keys.sites_bucket(self.site.bucket)} {self.site.id} {now:d}"

    def report(self, now: float) -> bytes:
        """The slot in the form for the script."""
        site, slot = self.site, self.slot
        indexes = {shape: number for number, shape in enumerate(self.shapes, 1)}
        self._paths = list({path: None for path, _, _ in self.waiting if path})
        forgotten = max(slot.day_ends, now) + GRACE
        ends = slot.day_ends + site.retention_days * 86_400 if site.retention_days else 0
        return b'["%b",%d,%d,%d,%d,%d,[%b],[%b],%b,%b,[%b],%b]' % (
            slot.day.encode(),
            slot.hour,
            forgotten,
            ends,
            slot.ends + HOUR_RETENTION,
            site.max_paths,
            b",".join([b"[%d,%b" % (count, shape.json) for shape, count in self.shapes.items()]),
            b",".join(
                [
                    b'["%b",%d%b]' % (visitor, indexes[shape], b",1" if known else b"")
                    for visitor, shape, known in self.visitors
                ]
            ),
            orjson.dumps(list(self.left_out.items())) if self.left_out else b"[]",
            self._events() if self.events else b"[]",
            b",".join([b"[%d,%d]" % (when, indexes[shape]) for when, shape in self.recent]),
            orjson.dumps(self._paths) if self._paths else b"[]",
        )

    def _events(self) -> bytes:
        events = [[name, len(visitors), *(v for v in visitors if v)] for name, visitors in self.events.items()]
        return orjson.dumps(events)

    def resolve(self, reply: Sequence[int]) -> None:
        """`reply` is the site's visits and visitors after this slot, and the totals of the requested paths."""
        if self.acknowledged is not None and not self.acknowledged.done():
            self.acknowledged.set_result(None)
        if not self.waiting:
            return
        total, visitors, *pages = reply
        after = dict(zip(self._paths, pages, strict=True))
        counted = [path for path, is_counted, _ in self.waiting if is_counted]
        site_next = total - len(counted)
        page_next = dict(after)
        for path in counted:
            page_next[path] -= 1
        for path, is_counted, future in self.waiting:
            if is_counted:
                site_next += 1
                page_next[path] += 1
                totals = HitTotals(max(page_next[path], 0), site_next, visitors)
            else:
                totals = HitTotals(after.get(path, 0), total, visitors)
            if not future.done():
                future.set_result(totals)

    def fail(self) -> None:
        for _, _, future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()
        if self.acknowledged is not None and not self.acknowledged.done():
            self.acknowledged.set_result(None)
        self.acknowledged = None


class NameCounts:
    """Hits of one of CountAPI's counters."""

    owner = "countapi"
    """All of them together may fill one site's share of the queue."""
    items = 1

    def __init__(self, bucket: int, name: str) -> None:
        self.name = name
        self.count = 0
        self.waiting: list[ValueFuture] = []
        self._bucket = bucket

    def head(self) -> str:
        return f"{keys.sites_bucket(self._bucket)} {self.name} n"

    def report(self, now: float) -> bytes:
        return b"%d %d" % (self.count, now)

    def resolve(self, reply: Sequence[int]) -> None:
        """`reply` is the value after these hits."""
        for value, future in enumerate(self.waiting, reply[0] - len(self.waiting) + 1):
            if not future.done():
                future.set_result(value)

    def fail(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()


class SitesBatch:
    """Hits of sites and of CountAPI's counters, in order of arrival."""

    def __init__(self) -> None:
        self.slots: list[SlotCounts | NameCounts] = []
        self._open: dict[str, SlotCounts] = {}
        self._names: dict[str, NameCounts] = {}

    def slot_of(self, site: Site, slot: TimeSlot) -> SlotCounts:
        """The slot for a hit of the site now."""
        counts = self._open.get(site.id)
        if counts is None or counts.slot is not slot or counts.site is not site or counts.items >= MAX_ITEMS:
            counts = self._open[site.id] = SlotCounts(site, slot)
            self.slots.append(counts)
        return counts

    def name_of(self, bucket: int, name: str) -> NameCounts | None:
        """The counts for a hit of the counter; None if too many counters are queued."""
        counts = self._names.get(name)
        if counts is None and len(self._names) < MAX_WAITING_NAMES:
            counts = self._names[name] = NameCounts(bucket, name)
            self.slots.append(counts)
        return counts

    def take(self) -> "list[SlotCounts | NameCounts]":
        """Removes and returns the first slots, as many as one script call handles."""
        taken, items = 0, 0
        while taken < len(self.slots) and (not taken or items + self.slots[taken].items < MAX_ITEMS):
            items += self.slots[taken].items + 1
            taken += 1
        first, self.slots = self.slots[:taken], self.slots[taken:]
        for counts in first:
            if isinstance(counts, NameCounts):
                del self._names[counts.name]
            elif self._open.get(counts.owner) is counts:
                del self._open[counts.owner]
        return first

    def fail(self) -> None:
        for counts in self.slots:
            counts.fail()
