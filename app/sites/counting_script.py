"""The Lua that counts reports of hits, and its limits."""

import re

from app.events.stream import RAISE_REACHED

EXACT_VISITORS = 5_000
"""Visitors of a day and site that are counted exactly; beyond, they are estimated (HyperLogLog)."""
SEEN = 20_000
"""Visitors of a page or an hour that are recognised exactly in a day; beyond, by a Bloom filter."""
SEEN_BITS = 2**21
MAX_NAMES = 100
"""Names of a list for a day; further names are counted together."""
MAX_PAIRS = 600
"""Pairs of page and referrer kept for a month. Beyond 512 Redis indexes a hash: a full one costs no search."""
MAX_RECENT_HITS = 20
"""Newest hits of a site."""
PAGES_IN_BLOCK = 64
"""Pages whose counts of a month, or of all time, share a hash: Redis stores a small hash compactly, and searches it
from its beginning.
"""
PAGES_IN_DAY_BLOCK = 256
"""The same for a day, where fewer pages are visited."""
PACKED = 2**32
"""Visits and visitors of a name on one day in one number: visits + PACKED * visitors. To overflow, one name would need
49,000 visits a second all day, more than a server of Redis counts; what imports add is bounded (MAX_OF_LIST).
"""
MAX_OF_LIST = 2 * 10**7
"""Visits of a list on one day that an import may add: 200 imports of them fit below PACKED."""

PENDING = 32
"""Small reports of a site after which they are counted together."""
SETTLED_AT_ONCE = 16
"""Sites with pending reports that one script call counts."""

MAX_OF_COUNTER = 2**53 - 1
"""The value of one of CountAPI's counters: beyond, JavaScript does not count exactly."""
COUNTER_LIFETIME = 365 * 86_400
"""Seconds until an unused counter expires."""

CONSTANTS = {
    "MOST_OF_NAME": MAX_OF_COUNTER,
    "NAME_LIFETIME": COUNTER_LIFETIME,
    "SEEN_BITS": SEEN_BITS,
    "SEEN_MOST": SEEN,
    "EXACT_MOST": EXACT_VISITORS,
    "MAX_NAMES": MAX_NAMES,
    "MAX_PAIRS": MAX_PAIRS,
    "MAX_RECENT": 3 * MAX_RECENT_HITS,
    "MAX_RECENT_HITS": MAX_RECENT_HITS,
    "DAY_BLOCK": PAGES_IN_DAY_BLOCK,
    "IN_BLOCK": PAGES_IN_BLOCK,
    "PACKED": PACKED,
    "MOST_PENDING": PENDING,
    "AT_ONCE": SETTLED_AT_ONCE,
}


def lua(text: str) -> str:
    """The text with the numbers of CONSTANTS in place of their names."""
    return re.sub(r"\b[A-Z][A-Z_]+\b", lambda match: str(CONSTANTS.get(match[0], match[0])), text)


# Defines `count(tag, site, reports, numbers)`: counts reports of one site, as SlotCounts.document makes them, and gives
# the site's visits and visitors, and a table of the totals of their paths.
# Nothing here fails half way: a value that cannot be added to is left as it is (pcall), the rest is counted.
COUNT = RAISE_REACHED + lua(
    """
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

-- What reports of one hour say together.
local function sum_up(reports)
  local sum = {visits = 0, paths = {}, path_visits = {}, name_visits = {}, visitors = {}, events = {}, left_out = {},
    pairs = {}, recent = {}}
  for _, report in ipairs(reports) do
    local shapes, visitors, left_out, events, recent, asked = unpack(report, 7, 12)
    local function see(path)
      if not sum.path_visits[path] then
        sum.path_visits[path] = 0
        table.insert(sum.paths, path)
      end
    end
    for _, shape in ipairs(shapes) do
      local n, path = shape[1], shape[2]
      see(path)
      sum.visits = sum.visits + n
      sum.path_visits[path] = sum.path_visits[path] + n
      for at = 3, #shape do sum.name_visits[shape[at]] = (sum.name_visits[shape[at]] or 0) + n end
      local referrer = shape[3]
      if referrer and sub(referrer, 1, 2) == 'r:' then
        local of_path = sum.pairs[path] or {}
        sum.pairs[path], of_path[referrer] = of_path, (of_path[referrer] or 0) + n
      end
    end
    for _, path in ipairs(asked) do see(path) end
    for _, visitor in ipairs(visitors) do table.insert(sum.visitors, {visitor[1], shapes[visitor[2]], visitor[3]}) end
    for _, event in ipairs(events) do table.insert(sum.events, event) end
    for _, reason in ipairs(left_out) do sum.left_out[reason[1]] = (sum.left_out[reason[1]] or 0) + reason[2] end
    for _, hit in ipairs(recent) do table.insert(sum.recent, {hit[1], unpack(shapes[hit[2]], 2)}) end
  end
  return sum
end

local function count_hour(tag, id, reports, numbers)
  local day, hour, forgotten, ends, hour_ends, max = unpack(reports[#reports], 1, 6)
  local sum, p = sum_up(reports), tag .. ':' .. id .. ':'
  local month, year, visits, path_visits = sub(day, 1, 6), sub(day, 1, 4), sum.visits, sum.path_visits
  local path_ids, path_visitors, name_visitors = {}, {}, {}
  for _, path in ipairs(sum.paths) do path_ids[path] = path_id(p, path, path_visits[path] > 0, max) end

  local today, hour_visitors, gained = nil, 0, 0
  if #sum.visitors > 0 or #sum.events > 0 then today = daily_visitors(p, day, forgotten) end
  for _, visitor in ipairs(sum.visitors) do
    local who, shape, path, known = visitor[1], visitor[2], visitor[2][2], visitor[3]
    if not known then
      if today.add(who) then
        for i = 3, #shape do name_visitors[shape[i]] = (name_visitors[shape[i]] or 0) + 1 end
      end
      if today.first(hour .. '@' .. who) then hour_visitors = hour_visitors + 1 end
    end
    if today.first(path_ids[path] .. '/' .. who) then path_visitors[path] = (path_visitors[path] or 0) + 1 end
  end
  if today then gained = today.gained() end

  local list = p .. 'top:' .. day
  if visits > 0 then
    local total = add(p .. 'totals', 'visits', visits)
    raise_reached(tag .. ':raised', 'site.reached', 'site', id, 'visits', total - visits, total, numbers)
    add(p .. 'days:' .. year, sub(day, 5), visits)
    add(p .. 'months', month, visits)
    if add(p .. 'hours:' .. day, hour, visits) == visits then call('EXPIREAT', p .. 'hours:' .. day, hour_ends) end
  else  -- export and removal find the keys of a day by these
    add(p .. 'days:' .. year, sub(day, 5), 0)
    add(p .. 'months', month, 0)
  end
  if hour_visitors > 0 then add(p .. 'hours:' .. day, 'u' .. hour, hour_visitors) end
  if gained > 0 then
    add(p .. 'totals', 'visitors', gained)
    add(p .. 'uniq:' .. year, sub(day, 5), gained)
    add(p .. 'months', 'u' .. month, gained)
  end

  for _, path in ipairs(sum.paths) do
    local id, n, repeats = path_ids[path], path_visits[path], path_visits[path] - (path_visitors[path] or 0)
    if id and n > 0 then
      local block, field = ':' .. floor(id / IN_BLOCK), id % IN_BLOCK * 2
      local of_day, day_field = p .. 'd:' .. day .. ':' .. floor(id / DAY_BLOCK), id % DAY_BLOCK * 2
      add(p .. 'pt' .. block, field, n)
      add(p .. 'm:' .. month .. block, field, n)
      if add(of_day, day_field, n) == n and ends > 0 then call('EXPIREAT', of_day, ends) end
      if repeats > 0 then
        add(p .. 'pt' .. block, field + 1, repeats)
        add(p .. 'm:' .. month .. block, field + 1, repeats)
        add(of_day, day_field + 1, repeats)
      end
    end
  end

  for name, n in pairs(sum.name_visits) do list_add(list, name, n, name_visitors[name] or 0, ends) end
  for _, event in ipairs(sum.events) do
    local u = 0
    for i = 3, #event do
      if today.first('e' .. event[1] .. '/' .. event[i]) then u = u + 1 end
    end
    list_add(list, 'e:' .. event[1], event[2], u, ends)
  end
  local known_pairs = p .. 'pr:' .. month
  for path, of_path in pairs(sum.pairs) do
    for referrer, n in pairs(of_path) do
      local field = path_ids[path] .. ' ' .. sub(referrer, 3)
      if add(known_pairs, field, n) == n and call('HLEN', known_pairs) > MAX_PAIRS then
        call('HDEL', known_pairs, field)
      end
    end
  end
  for reason, n in pairs(sum.left_out) do add(p .. 'o:' .. month, sub(day, 7) .. reason, n) end
  local newest = {}
  for i = math.max(1, #sum.recent - MAX_RECENT_HITS + 1), #sum.recent do
    table.insert(newest, cjson.encode(sum.recent[i]))
  end
  if #newest > 0 and call('LPUSH', p .. 'recent', unpack(newest)) > MAX_RECENT then
    call('LTRIM', p .. 'recent', 0, MAX_RECENT_HITS - 1)
  end
  return path_ids
end

-- Counts what waits of the site, and then these reports. Gives the ids of the last hour's paths.
local function count(tag, id, reports, numbers)
  local pending, all, ids = tag .. ':' .. id .. ':pending', {}, {}
  local waiting = call('LRANGE', pending, 0, -1)
  if #waiting > 0 then
    call('DEL', pending)
    call('SREM', tag .. ':pending', id)
  end
  for _, text in ipairs(waiting) do table.insert(all, cjson.decode(text)) end
  for _, report in ipairs(reports) do table.insert(all, report) end
  local first = 1
  for i = 1, #all do
    local following = all[i + 1]
    if not following or following[1] ~= all[i][1] or following[2] ~= all[i][2] then
      ids = count_hour(tag, id, {unpack(all, first, i)}, numbers)
      first = i + 1
    end
  end
  return ids
end
"""
)
