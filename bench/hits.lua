-- Hits of many sites, pages and visitors, as browsers send them. Arguments: sites, pages, visitors,
-- the milliseconds that a connection rests between two hits, and whose protocol it is: tallygate or goatcounter.
local n = 0
local sites, pages, visitors, protocol = 1, 1, 1, "tallygate"
local agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

function init(args)
  sites, pages, visitors = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local rest = tonumber(args[4])
  protocol = args[5]
  if rest > 0 then
    function delay() return rest end
  end
end

function request()
  n = n + 1
  local page, visitor = (n * 7919) % pages, (n * 104729) % visitors
  local path = string.format("/c/bench%05d?u=https%%3A%%2F%%2Fblog.example%%2Fpost-%d.html&r=https%%3A%%2F%%2Fnews.example%%2F&w=1280",
    n % sites, page)
  if protocol == "goatcounter" then
    path = string.format("/count?p=%%2Fpost-%d.html&r=https%%3A%%2F%%2Fnews.example%%2F&s=1280%%2C800%%2C1", page)
  end
  local headers = {
    ["User-Agent"] = agent,
    ["Accept"] = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8",
    ["Accept-Encoding"] = "gzip, deflate, br, zstd",
    ["Referer"] = "https://blog.example/",
    ["Sec-Fetch-Site"] = "cross-site",
    ["Sec-Fetch-Mode"] = "no-cors",
    ["Sec-Fetch-Dest"] = "image",
  }
  if visitors > 1 then
    headers["X-Forwarded-For"] = string.format("10.%d.%d.%d", visitor / 65536, visitor / 256 % 256, visitor % 256)
  end
  return wrk.format("GET", path, headers)
end
