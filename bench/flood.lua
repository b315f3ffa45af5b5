-- Hits of one site that have nothing in common: each has a path, a referrer and an agent of its own.
local n = 0

function request()
  n = n + 1
  local path = string.format("/c/bench00000?p=/flood/%d.html&r=https%%3A%%2F%%2Fr%d.example%%2F&w=1280", n, n)
  local agent = string.format("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.%d Safari/537.36",
    n % 1000, n)
  return wrk.format("GET", path, {["User-Agent"] = agent})
end
