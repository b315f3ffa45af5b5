"""The Lua of webhooks. All keys have the hash tag {hooks}; those of deliveries begin with DELIVERY."""

from app.store import keys
from app.store.scripts import Script

DELIVERY = keys.hooks_delivery("", "").removesuffix(":")
DUE = keys.hooks_due("")
WHILE_DUE = 86_400
"""Seconds for which a delivery is kept after its next attempt is due, at least."""

READ = Script("""
local stream, removed = unpack(KEYS)
local known = redis.call('GET', removed)
local reply = redis.pcall('XREADGROUP', 'GROUP', 'hooks', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', stream, '>')
if reply and reply.err then
  if not string.find(reply.err, 'NOGROUP') then return reply end
  redis.call('XGROUP', 'CREATE', stream, 'hooks', '0', 'MKSTREAM')
  reply = redis.call('XREADGROUP', 'GROUP', 'hooks', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', stream, '>')
  known = 0
end
local info, gone = redis.call('XINFO', 'STREAM', stream), -redis.call('XLEN', stream)
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then gone = gone + info[i + 1] end
end
if redis.call('GET', removed) ~= tostring(gone) then redis.call('SET', removed, gone) end
return {reply and reply[1][2] or {}, math.max(gone - (known or gone), 0)}
""")
"""Reads raised events for a consumer; creates the consumer group if it is missing. Counts the events that were trimmed
since the last call: those that are gone, and that ACKNOWLEDGE did not remove.
"""

RECLAIM = Script("""
local reply = redis.pcall('XAUTOCLAIM', KEYS[1], 'hooks', ARGV[1], ARGV[2], '0', 'COUNT', ARGV[3])
if reply.err then return {} end
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], 'hooks')) do
  local name, pending, idle = fields[2], fields[4], fields[6]
  if pending == 0 and idle > tonumber(ARGV[4]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'hooks', name) end
end
return reply[2]
""")
"""Claims events that another consumer did not acknowledge. Removes consumers of workers that have ended."""

# An event that was taken and then trimmed is not lost: XACK counts it, XDEL would not.
ACKNOWLEDGE = Script("""
local taken = redis.call('XACK', KEYS[1], 'hooks', unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV))
redis.call('INCRBY', KEYS[2], taken)
""")

# A retry after a lost reply finds what it has written.
ADD_DELIVERY = f"""
local function add_delivery(webhook, log_id, event, kind, now, lifetime, most)
  local number = redis.call('HINCRBY', '{keys.HOOKS_SEQUENCES}', webhook, 1)
  local name = '{DELIVERY}' .. webhook .. ':' .. number
  redis.call('HSET', name, 'log', log_id, 'event', event, 'type', kind, 'state', 'pending', 'tries', 0)
  redis.call('EXPIRE', name, lifetime)
  redis.call('ZADD', '{DUE}' .. webhook, now, number)
  redis.call('ZADD', '{keys.HOOKS_PENDING}', string.match(log_id, '^%d+'), webhook .. ':' .. number)
  local old = number - most
  if old > 0 and not redis.call('ZSCORE', '{DUE}' .. webhook, old) then
    redis.call('UNLINK', '{DELIVERY}' .. webhook .. ':' .. old)
  end
  return webhook .. ':' .. number
end
"""

TAKE = Script(
    ADD_DELIVERY
    + """
local seen, log = unpack(KEYS)
local id, record, kind, now, lifetime, most = unpack(ARGV, 1, 6)
if redis.call('EXISTS', seen) == 1 then return 0 end
local log_id = redis.call('XADD', log, '*', 'event', record)
local made = {}
for i = 7, #ARGV do made[#made + 1] = add_delivery(ARGV[i], log_id, id, kind, now, lifetime, most) end
redis.call('SET', seen, table.concat(made, ' '), 'EX', 172800)
return 1
"""
)
"""Logs an event once, and creates a delivery for each webhook that subscribes to it."""

SEND_AGAIN = Script(
    ADD_DELIVERY
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[1], '1', 'EX', 3600)
local webhook, now, lifetime, most = unpack(ARGV, 1, 4)
for i = 5, #ARGV, 3 do add_delivery(webhook, ARGV[i], ARGV[i + 1], ARGV[i + 2], now, lifetime, most) end
return 1
"""
)
"""Creates deliveries of logged events; the first key is a stamp, so that a repeat does nothing."""

CLAIM = Script(f"""
local now, lease = tonumber(ARGV[1]), ARGV[2]
local claimed = {{}}
for i = 3, #ARGV, 2 do
  local webhook = ARGV[i]
  local due = '{DUE}' .. webhook
  for _, number in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[i + 1])) do
    local name = '{DELIVERY}' .. webhook .. ':' .. number
    local fields = redis.call('HMGET', name, 'log', 'tries')
    local entry = fields[1] and redis.call('XRANGE', KEYS[1], fields[1], fields[1])[1]
    if entry then
      redis.call('ZADD', due, 'XX', now + lease, number)
      claimed[#claimed + 1] = {{webhook, number, fields[2], entry[2][2]}}
    else
      redis.call('ZREM', due, number)
      redis.call('ZREM', '{keys.HOOKS_PENDING}', webhook .. ':' .. number)
    end
  end
end
return claimed
""")
"""Leases due deliveries to a worker: unless settled, they are due again when the lease expires."""

SETTLE = Script(f"""
local webhook, number, state, tries, attempt, due_at, now = unpack(ARGV)
local name = '{DELIVERY}' .. webhook .. ':' .. number
if state == 'delivered' then
  redis.call('HDEL', '{keys.HOOKS_FAILING}', webhook)
else
  redis.call('HSETNX', '{keys.HOOKS_FAILING}', webhook, now)
end
if redis.call('EXISTS', name) == 1 then
  redis.call('HSET', name, 'state', state, 'tries', tries, 'attempt:' .. tries, attempt)
end
if due_at ~= '' then
  redis.call('EXPIRE', name, math.ceil(due_at - now) + {WHILE_DUE}, 'GT')
  redis.call('ZADD', '{DUE}' .. webhook, 'XX', due_at, number)
else
  redis.call('ZREM', '{DUE}' .. webhook, number)
  redis.call('ZREM', '{keys.HOOKS_PENDING}', webhook .. ':' .. number)
end
return redis.call('HGET', '{keys.HOOKS_FAILING}', webhook) or ''
""")
"""Writes an attempt's result. Returns since when the webhook fails."""

SEND = Script(f"""
local webhook, number, now = unpack(ARGV)
local name = '{DELIVERY}' .. webhook .. ':' .. number
local log_id = redis.call('HGET', name, 'log')
if not log_id or #redis.call('XRANGE', KEYS[1], log_id, log_id) == 0 then return 0 end
redis.call('HSET', name, 'state', 'pending')
redis.call('EXPIRE', name, {WHILE_DUE}, 'GT')
redis.call('ZADD', '{DUE}' .. webhook, now, number)
redis.call('ZADD', '{keys.HOOKS_PENDING}', string.match(log_id, '^%d+'), webhook .. ':' .. number)
return 1
""")
"""Sends a delivery again, now."""

TRIM = Script(f"""
local least, most = ARGV[1], tonumber(ARGV[2])
local oldest
for _ = 1, 1000 do
  local first = redis.call('ZRANGE', '{keys.HOOKS_PENDING}', 0, 0, 'WITHSCORES')
  oldest = first[2]
  if not oldest then break end
  local webhook = string.match(first[1], '^(.*):')
  local text = redis.call('HGET', '{keys.HOOKS_WEBHOOKS}', webhook)
  if text and cjson.decode(text).enabled then break end
  redis.call('ZREM', '{keys.HOOKS_PENDING}', first[1])
  if not text then
    redis.call('DEL', '{DUE}' .. webhook)
    redis.call('HDEL', '{keys.HOOKS_SEQUENCES}', webhook)
  end
end
local over = redis.call('XLEN', KEYS[1]) - most
if over > 0 then
  local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', math.min(over, 1000))
  local bound = string.match(entries[#entries][1], '^%d+')
  if tonumber(bound) > tonumber(least) then least = bound end
end
if oldest and tonumber(oldest) < tonumber(least) then least = oldest end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', least, 'LIMIT', 1000)
""")
"""Trims the log in small steps, by age and number, but keeps events with pending deliveries. Those of a webhook that is
disabled or removed do not count: it may have been while the event was taken.
"""
