-- Asks about other pages in turn, as a proxy does for X-Forwarded-Uri. Argument: how many.
local n, pages = 0, 1

function init(args)
  pages = tonumber(args[1])
end

function request()
  n = n + 1
  wrk.headers["X-Forwarded-Uri"] = string.format("/wiki/page-%d?x=1", (n * 7919) % pages)
  return wrk.format()
end
