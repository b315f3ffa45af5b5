"""How a feature raises an event: in its own script, in the same step as the change that it reports.

    RENAME = Script(RAISE + '''... redis.call('HSET', ...) raise_event(KEYS[4], ARGV[6])''')
    await RENAME.run(store, [..., keys.raised("accounts")], ..., new_record(UserRenamed(...), clock).dump())

A stream of raised events has the hash tag of the keys that the script touches. The hooks take the events from there.
"""

from app.store import keys

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
