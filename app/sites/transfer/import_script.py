"""The script that adds or removes one piece of an import, each exactly once, in order."""

from app.events.stream import RAISE_REACHED
from app.sites.counting_script import MAX_NAMES, PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.store.scripts import Script

# KEYS: the imports of a site, the import. ARGV: its id.
FORGET_IMPORT = Script("""
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('UNLINK', KEYS[2])
""")

# KEYS: the site's record, the tag, the raised events. ARGV: site, import, piece, sign, most paths, the piece as JSON:
# [[day, path, visits, visitors, whether the day's detail is kept]], [[day, visitors]],
# [[day, name, visits and visitors in one number]];
# the totals that raise `site.reached`.
# Answers 1; 0 where the piece is done already, -1 where the site or the import is gone, or is being undone.
APPLY_PIECE = Script(
    RAISE_REACHED
    + """
local call, p = redis.call, KEYS[2] .. ':' .. ARGV[1] .. ':'
local meta, piece, sign, max = p .. 'import:' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if call('EXISTS', KEYS[1]) == 0 or call('EXISTS', meta) == 0 then return -1 end
if sign > 0 and call('HEXISTS', meta, 'undone') == 1 then return -1 end
local done = tonumber(call('HGET', meta, 'done') or '0')
if sign > 0 and piece <= done or sign < 0 and piece > done then return 0 end

local function add(key, field, by)
  if by == 0 then return end
  local value = call('HINCRBY', key, field, string.format('%.0f', by * sign))
  if value == 0 and sign < 0 then call('HDEL', key, field) end
  return value
end

local function touch(key, field)
  if call('HINCRBY', key, field, 0) == 0 and sign < 0 then call('HDEL', key, field) end
end

local function path_id(path)
  local id = call('HGET', p .. 'ids', path)
  if id then return tonumber(id) end
  local count = call('LLEN', p .. 'names')
  if count == 0 then
    call('RPUSH', p .. 'names', '')
    count = 1
  end
  if count > max or sign < 0 or path == '' then return 0 end
  call('RPUSH', p .. 'names', path)
  call('HSET', p .. 'ids', path, count)
  return count
end

local data, added = cjson.decode(ARGV[6]), 0
for _, row in ipairs(data[1]) do
  local day, path, visits, repeats, detail = row[1], row[2], row[3], row[3] - row[4], row[5]
  add(p .. 'totals', 'visits', visits)
  added = added + visits * sign
  local keys = {}
  if path ~= '' or day ~= '' then  -- a day's visits without a page are those of pages beyond the most
    local id = path_id(path)
    local block, field = ':' .. math.floor(id / IN_BLOCK), id % IN_BLOCK * 2
    keys = {{p .. 'pt' .. block, field}}
    if day ~= '' then
      keys[2] = {p .. 'm:' .. string.sub(day, 1, 6) .. block, field}
      if detail == 1 then keys[3] = {p .. 'd:' .. day .. ':' .. math.floor(id / DAY_BLOCK), id % DAY_BLOCK * 2} end
    end
  end
  for _, key in ipairs(keys) do
    add(key[1], key[2], visits)
    add(key[1], key[2] + 1, repeats)
  end
  if day ~= '' then
    add(p .. 'days:' .. string.sub(day, 1, 4), string.sub(day, 5), visits)
    add(p .. 'months', string.sub(day, 1, 6), visits)
  end
end
for _, row in ipairs(data[2]) do
  local day, visitors = row[1], row[2]
  add(p .. 'totals', 'visitors', visitors)
  if day ~= '' then
    add(p .. 'uniq:' .. string.sub(day, 1, 4), string.sub(day, 5), visitors)
    add(p .. 'months', 'u' .. string.sub(day, 1, 6), visitors)
  end
end
for _, row in ipairs(data[3]) do
  local key, name, by = p .. 'top:' .. row[1], row[2], sign > 0 and row[3] or '-' .. row[3]
  local kind = string.sub(name, 1, 2)
  local count = tonumber(call('HGET', key, '#' .. kind) or '0')
  local known = call('HEXISTS', key, name) == 1
  if not known and (sign < 0 or count >= MAX_NAMES) then name = kind end
  local value = call('HINCRBY', key, name, by)
  local days, month = p .. 'days:' .. string.sub(row[1], 1, 4), string.sub(row[1], 1, 6)
  if value == 0 then call('HDEL', key, name) end
  if name ~= kind and (sign > 0 and not known or sign < 0 and value == 0) then
    if call('HINCRBY', key, '#' .. kind, sign) == 0 then call('HDEL', key, '#' .. kind) end
  end
  touch(days, string.sub(row[1], 5))
  touch(p .. 'months', month)
end
if added > 0 then
  local total = tonumber(call('HGET', p .. 'totals', 'visits'))
  raise_reached(KEYS[3], 'site.reached', 'site', ARGV[1], 'visits', total - added, total, ARGV[7])
end
call('HSET', meta, 'done', sign > 0 and piece or piece - 1)
return 1
""".replace("DAY_BLOCK", str(PAGES_IN_DAY_BLOCK))
    .replace("IN_BLOCK", str(PAGES_IN_BLOCK))
    .replace("MAX_NAMES", str(MAX_NAMES))
)
