"""The scripts that change a site's counts: a batch of reports, reports that wait, first values."""

from app.sites.counting_script import COUNT, lua
from app.store.scripts import Script

# KEYS: the worker's record. ARGV: the sequence number, the record's lifetime, numbers whose reaching is an event, and
# for each report its head (the tag, the site, and whether it is to be counted now) and the report; for hits of one of
# CountAPI's counters the tag, its name and `n`, and how many and when.
# A report is answered with "visits visitors" and the total of each path that is waited for; with "" where it waits to
# be counted with others (COUNT_PENDING), and with "-" where the site is gone. A counter's is its value.
COUNT_BATCH = Script(
    COUNT
    + lua("""
local last = tonumber(call('HGET', KEYS[1], 'seq') or '0')
local seq = tonumber(ARGV[1])
if seq == last then
  return call('HGET', KEYS[1], 'reply')
elseif seq ~= last + 1 then
  return last
end

local function hit_name(key, text)
  local hits, time = string.match(text, '^(%d+) (%d+)$')
  if add(key, 'value', 0) + hits > MOST_OF_NAME then return '-' end
  call('HSETNX', key, 'created', time)
  call('EXPIRE', key, NAME_LIFETIME)
  return string.format('%.0f', add(key, 'value', hits))
end

local function take(head, text)
  local tag, id, now = string.match(head, '^(%S+) (%S+) (%w)$')
  if now == 'n' then return hit_name(tag .. ':countapi:' .. id, text) end
  if call('EXISTS', tag .. ':site:' .. id) == 0 then return '-' end
  local p, report = tag .. ':' .. id .. ':', nil
  if now == '0' then
    local length = call('RPUSH', p .. 'pending', text)
    if length == 1 then call('SADD', tag .. ':pending', id) end
    if length >= MOST_PENDING then count(tag, id, {}, ARGV[3]) end
    return ''
  end
  report = cjson.decode(text)
  local ids = count(tag, id, {report}, ARGV[3])
  local totals, answer = call('HMGET', p .. 'totals', 'visits', 'visitors'), {}
  for i, path in ipairs(report[12]) do
    local number = ids[path]
    local counted = number and number > 0  -- 0 are all pages beyond the site's limit
    answer[i] = counted and call('HGET', p .. 'pt:' .. floor(number / IN_BLOCK), number % IN_BLOCK * 2) or '0'
  end
  return (totals[1] or '0') .. ' ' .. (totals[2] or '0') .. ' ' .. table.concat(answer, ' ')
end

local replies = {}
for at = 4, #ARGV, 2 do table.insert(replies, take(ARGV[at], ARGV[at + 1])) end
local reply = table.concat(replies, ';')
call('HSET', KEYS[1], 'seq', seq, 'reply', reply)
call('PEXPIRE', KEYS[1], ARGV[2])
return reply
""")
)

# Counts the reports that wait: of one site, or of some of a bucket. KEYS: the bucket's sites with such reports.
# ARGV: the tag, numbers whose reaching is an event, the site or "". Answers how many sites it was.
COUNT_PENDING = Script(
    COUNT
    + lua("""
local tag, numbers, sites = ARGV[1], ARGV[2], {ARGV[3]}
if ARGV[3] == '' then sites = call('SRANDMEMBER', KEYS[1], AT_ONCE) end
for _, id in ipairs(sites) do
  if call('EXISTS', tag .. ':site:' .. id) == 1 then
    count(tag, id, {}, numbers)
  else
    call('DEL', tag .. ':' .. id .. ':pending')
    call('SREM', KEYS[1], id)
  end
end
return #sites
""")
)

# Values from before counting began: what is already counted stays, what was said before is replaced, so that saying
# it again changes nothing. KEYS: the site's record, the tag. ARGV: site, path, visits, visitors, most paths.
SET_VALUES = Script(
    lua("""
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
""")
)
