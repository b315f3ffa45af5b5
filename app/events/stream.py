"""How a feature raises an event: in its own script, in the same step as what the event tells of; or alone.

    RENAME = Script(RAISE + '''... redis.call('HSET', ...) raise_event(KEYS[4], ARGV[6])''')
    await RENAME.run(store, [..., keys.raised("accounts")], ..., new_record(UserRenamed(...), clock).dump())

A stream of raised events has the hash tag of the keys that the script touches. The hooks take the events from there.
"""

import time
from collections.abc import Callable

from app.events.event import Event, new_record
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

MAX_RAISED = 1_000_000
"""Events that wait to be taken, in one stream. The hooks of every worker take them; more mean that none runs."""
RAISE = f"""
local function raise_event(stream, record)
  redis.call('XADD', stream, 'MAXLEN', '~', {MAX_RAISED}, '*', 'event', record)
  redis.call('PUBLISH', '{keys.EVENTS_RAISED}', stream)
end
"""
"""Lua that defines `raise_event(stream, record)`."""
RAISE_REACHED = (
    RAISE
    + """
local function raise_reached(stream, kind, subject, name, count, before, after, numbers)
  for number in string.gmatch(numbers, '%d+') do
    if before < tonumber(number) and tonumber(number) <= after then
      local id = string.sub(redis.sha1hex(kind .. ' ' .. name .. ' ' .. number), 1, 24)
      local time = redis.call('TIME')
      raise_event(stream, string.format('{"id":"evt_%s","type":"%s","at":%s.%06d,"data":{"%s":%s,"%s":%s}}',
        id, kind, time[1], time[2], subject, cjson.encode(name), count, number))
    end
  end
end
"""
)
"""Lua that defines `raise_reached`: an event for each of the numbers (digits between other signs) that a total has
passed. The id is the same each time, so that a batch that is applied again, after Redis went back, tells nothing new.
"""
RAISE_ALONE = Script(RAISE + "raise_event(KEYS[1], ARGV[1])")


class Events:
    """Raises events that have no script of their own."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def raise_event(self, event: Event, part: str = "events") -> None:
        """Raises StoreUnavailable. After a lost reply the event may be stored twice, with the same id."""
        await RAISE_ALONE.run(self._store, [keys.raised(part)], new_record(event, self._clock).dump())
