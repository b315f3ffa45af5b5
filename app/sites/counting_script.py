"""The script that counts a batch of hits of one bucket, exactly once."""

from app.events.stream import RAISE_REACHED
from app.store.scripts import Script

EXACT_VISITORS = 5_000
"""Unique visitors of a day and site that are told apart exactly; beyond, they are estimated (HyperLogLog)."""
SEEN = 20_000
"""Visitors of a page or an hour that are told apart exactly in a day; beyond, by a field of bits (a Bloom filter)."""
SEEN_BITS = 2**21
MAX_NAMES = 100
"""Names of a list kept for a day; the others are counted together."""
MAX_PAIRS = 600
"""Pairs of page and referrer kept for a month. Beyond 512 Redis indexes a hash: a full one costs no search."""
RECENT_KEPT = 20
"""Newest hits of a site."""
PAGES_IN_BLOCK = 64
"""Pages whose counts of a month, or of all time, share a hash: Redis stores a small hash compactly, and searches it
from its beginning.
"""
PAGES_IN_DAY_BLOCK = 256
"""The same for a day, where fewer pages are visited."""
PACKED = 2**27
"""Visits and visitors of a name in one number: visits + PACKED * visitors."""

# KEYS: the worker's record. ARGV: the sequence number, the record's lifetime, numbers whose reaching is
# an event, slots as SlotCounts.document makes them.
# A slot is answered with "visits visitors total-of-each-path"; a slot of a site that is gone with "-".
# Nothing here fails half way: a value that cannot be added to is left as it is (pcall), the rest is counted.
COUNT_BATCH = Script(
    RAISE_REACHED
    + """
local last = tonumber(redis.call('HGET', KEYS[1], 'seq') or '0')
local seq = tonumber(ARGV[1])
if seq == last then
  return redis.call('HGET', KEYS[1], 'reply')
elseif seq ~= last + 1 then
  return last
end
local call, pcall, floor, sub = redis.call, redis.pcall, math.floor, string.sub

local function add(key, field, by)
  local value = pcall('HINCRBY', key, field, by)
  if type(value) == 'table' then return 0 end
  return value
end

local function path_id(p, path, visited, max)
  local id = call('HGET', p .. 'ids', path)
  if id or not visited then return tonumber(id) end
  local count = call('LLEN', p .. 'names')
  if count == 0 then
    call('RPUSH', p .. 'names', '')
    count = 1
  end
  if count > max then return 0 end
  call('RPUSH', p .. 'names', path)
  call('HSET', p .. 'ids', path, count)
  return count
end

local function list_add(key, name, visits, visitors, ends)
  local by = visits + visitors * PACKED
  if add(key, name, by) ~= by then return end
  local kind = sub(name, 1, 2)
  if add(key, '#' .. kind, 1) > MAX_NAMES and name ~= kind then
    call('HDEL', key, name)
    add(key, '#' .. kind, -1)
    add(key, kind, by)
  end
  if ends > 0 then call('EXPIREAT', key, ends) end
end

local function daily_visitors(p, day, forgotten)
  local self = {set = p .. 'v:' .. day, hll = p .. 'h:' .. day, seen = p .. 's:' .. day, bits = p .. 'f:' .. day}
  self.exact = call('EXISTS', self.hll) == 0
  self.known = self.exact and call('SCARD', self.set) or call('PFCOUNT', self.hll)
  self.before = self.known
  self.seen_count = call('SCARD', self.seen)

  function self.first(member)
    if self.seen_count < SEEN_MOST then
      local added = call('SADD', self.seen, member)
      if self.seen_count == 0 then call('EXPIREAT', self.seen, forgotten) end
      self.seen_count = self.seen_count + added
      return added == 1
    end
    if call('SISMEMBER', self.seen, member) == 1 then return false end
    local hash, new = redis.sha1hex(member), false
    for at = 1, 13, 6 do
      if call('SETBIT', self.bits, tonumber(string.sub(hash, at, at + 5), 16) % SEEN_BITS, 1) == 0 then new = true end
    end
    if new then call('EXPIREAT', self.bits, forgotten) end
    return new
  end

  function self.add(visitor)
    if self.exact then
      if call('SADD', self.set, visitor) == 0 then return false end
      if self.known == 0 then call('EXPIREAT', self.set, forgotten) end
      self.known = self.known + 1
      if self.known >= EXACT_MOST then
        local all = call('SMEMBERS', self.set)
        for i = 1, #all, 1000 do
          call('PFADD', self.hll, unpack(all, i, math.min(i + 999, #all)))
        end
        call('EXPIREAT', self.hll, forgotten)
        self.exact = false
      end
      return true
    end
    if call('PFADD', self.hll, visitor) == 1 then self.changed = true end
    return call('SISMEMBER', self.set, visitor) == 0 and self.first('v' .. visitor)
  end

  function self.gained()
    if self.changed then self.known = math.max(self.known, call('PFCOUNT', self.hll)) end
    return self.known - self.before
  end
  return self
end

local function count(s)
  local tag, id, day, hour, forgotten, ends, hour_ends, max = unpack(s, 1, 8)
  local paths, names, shapes, visitors, left_out, events, recent = unpack(s, 9, 15)
  if call('EXISTS', tag .. ':site:' .. id) == 0 then return '-' end
  local p = tag .. ':' .. id .. ':'
  local month, year = sub(day, 1, 6), sub(day, 1, 4)
  local visits, path_visits, path_visitors, name_visits, name_visitors = 0, {}, {}, {}, {}
  for _, shape in ipairs(shapes) do
    visits = visits + shape[2]
    path_visits[shape[1]] = (path_visits[shape[1]] or 0) + shape[2]
    for i = 3, #shape do name_visits[shape[i]] = (name_visits[shape[i]] or 0) + shape[2] end
  end
  local path_ids = {}
  for i, path in ipairs(paths) do
    path_ids[i] = path_id(p, path, path_visits[i], max)
  end

  local today, hour_visitors, gained = nil, 0, 0
  if #visitors > 0 or #events > 0 then today = daily_visitors(p, day, forgotten) end
  for _, visitor in ipairs(visitors) do
    local shape = shapes[visitor[2]]
    if today.add(visitor[1]) then
      for i = 3, #shape do name_visitors[shape[i]] = (name_visitors[shape[i]] or 0) + 1 end
    end
    if today.first(hour .. '@' .. visitor[1]) then hour_visitors = hour_visitors + 1 end
    if today.first(path_ids[shape[1]] .. '/' .. visitor[1]) then
      path_visitors[shape[1]] = (path_visitors[shape[1]] or 0) + 1
    end
  end
  if today then gained = today.gained() end

  local totals, list = p .. 'totals', p .. 'l:' .. day
  local site_visits, site_visitors
  if visits > 0 then
    site_visits = add(totals, 'visits', visits)
    raise_reached(tag .. ':raised', 'site.reached', 'site', id, 'visits', site_visits - visits, site_visits, ARGV[3])
    add(p .. 'days:' .. year, sub(day, 5), visits)
    add(p .. 'months', month, visits)
    if add(p .. 'hours:' .. day, hour, visits) == visits then call('EXPIREAT', p .. 'hours:' .. day, hour_ends) end
  end
  if hour_visitors > 0 then add(p .. 'hours:' .. day, 'u' .. hour, hour_visitors) end
  if gained > 0 then
    site_visitors = add(totals, 'visitors', gained)
    add(p .. 'uniq:' .. year, sub(day, 5), gained)
    add(p .. 'months', 'u' .. month, gained)
  end

  local answer = {}
  for i, _ in ipairs(paths) do
    local id, n, u = path_ids[i], path_visits[i] or 0, path_visitors[i] or 0
    local total = 0
    if id then
      local block, field = ':' .. floor(id / IN_BLOCK), id % IN_BLOCK * 2
      if n > 0 then
        local of_day, day_field = p .. 'd:' .. day .. ':' .. floor(id / DAY_BLOCK), id % DAY_BLOCK * 2
        total = add(p .. 'pt' .. block, field, n)
        add(p .. 'm:' .. month .. block, field, n)
        if add(of_day, day_field, n) == n and ends > 0 then call('EXPIREAT', of_day, ends) end
        if n > u then
          add(p .. 'pt' .. block, field + 1, n - u)
          add(p .. 'm:' .. month .. block, field + 1, n - u)
          add(of_day, day_field + 1, n - u)
        end
      else
        total = tonumber(call('HGET', p .. 'pt' .. block, field) or '0')
      end
    end
    answer[i] = string.format('%.0f', total)
  end

  for i, name in ipairs(names) do list_add(list, name, name_visits[i] or 0, name_visitors[i] or 0, ends) end
  for _, event in ipairs(events) do
    local u = 0
    for i = 3, #event do
      if today.first('e' .. event[1] .. '/' .. event[i]) then u = u + 1 end
    end
    list_add(list, 'e:' .. event[1], event[2], u, ends)
  end
  for _, shape in ipairs(shapes) do
    local referrer = shape[3] and names[shape[3]]
    if referrer and sub(referrer, 1, 2) == 'r:' then
      local pairs_key, field = p .. 'pr:' .. month, path_ids[shape[1]] .. ' ' .. sub(referrer, 3)
      if call('HLEN', pairs_key) < MAX_PAIRS or call('HEXISTS', pairs_key, field) == 1 then
        add(pairs_key, field, shape[2])
      end
    end
  end
  for _, reason in ipairs(left_out) do
    add(p .. 'o:' .. month, sub(day, 7) .. reason[1], reason[2])
  end
  if #recent > 0 then
    local length = call('LPUSH', p .. 'recent', unpack(recent))
    if length > MAX_RECENT then call('LTRIM', p .. 'recent', 0, RECENT_KEPT - 1) end
  end
  site_visits = site_visits or tonumber(call('HGET', totals, 'visits') or '0')
  site_visitors = site_visitors or tonumber(call('HGET', totals, 'visitors') or '0')
  return string.format('%.0f %.0f ', site_visits, site_visitors) .. table.concat(answer, ' ')
end

local replies = {}
for i, slot in ipairs(cjson.decode(ARGV[4])) do replies[i] = count(slot) end
local reply = table.concat(replies, ';')
call('HSET', KEYS[1], 'seq', seq, 'reply', reply)
call('PEXPIRE', KEYS[1], ARGV[2])
return reply
""".replace("SEEN_BITS", str(SEEN_BITS))
    .replace("SEEN_MOST", str(SEEN))
    .replace("EXACT_MOST", str(EXACT_VISITORS))
    .replace("MAX_NAMES", str(MAX_NAMES))
    .replace("MAX_PAIRS", str(MAX_PAIRS))
    .replace("MAX_RECENT", str(3 * RECENT_KEPT))
    .replace("RECENT_KEPT", str(RECENT_KEPT))
    .replace("DAY_BLOCK", str(PAGES_IN_DAY_BLOCK))
    .replace("IN_BLOCK", str(PAGES_IN_BLOCK))
    .replace("PACKED", str(PACKED))
)

# Values from before counting began: what is already counted stays, what was said before is replaced, so that saying
# it again changes nothing. KEYS: the site's record, the tag. ARGV: site, path, visits, visitors, most paths.
SET_VALUES = Script(
    """
local call, p = redis.call, KEYS[2] .. ':' .. ARGV[1] .. ':'
if call('EXISTS', KEYS[1]) == 0 then return -1 end
local path, max = ARGV[2], tonumber(ARGV[5])
local old = call('HGET', p .. 'values', path)
if not old and call('HLEN', p .. 'values') > max then return -2 end
local visits, visitors = string.match(old or '0 0', '(%d+) (%d+)')
local more, more_visitors = tonumber(ARGV[3]) - visits, tonumber(ARGV[4]) - visitors
if path ~= '' then
  local id = tonumber(call('HGET', p .. 'ids', path))
  if not id then
    if call('LLEN', p .. 'names') == 0 then call('RPUSH', p .. 'names', '') end
    id = call('LLEN', p .. 'names')
    if id > max then return -2 end
    call('RPUSH', p .. 'names', path)
    call('HSET', p .. 'ids', path, id)
  end
  local block, field = p .. 'pt:' .. math.floor(id / IN_BLOCK), id % IN_BLOCK * 2
  call('HINCRBY', block, field, string.format('%.0f', more))
  call('HINCRBY', block, field + 1, string.format('%.0f', more - more_visitors))
end
call('HINCRBY', p .. 'totals', 'visits', string.format('%.0f', more))
call('HINCRBY', p .. 'totals', 'visitors', string.format('%.0f', more_visitors))
call('HSET', p .. 'values', path, ARGV[3] .. ' ' .. ARGV[4])
return 1
""".replace("IN_BLOCK", str(PAGES_IN_BLOCK))
)
