-- Whole sign-ins: the redirect of a GET holds a code, which the next request of any connection exchanges for tokens.
local codes, path, form, headers = {}, nil, nil, {}

function init(args)
  path, form = args[1], args[2]
  headers["Authorization"], headers["Content-Type"] = args[3], "application/x-www-form-urlencoded"
end

function request()
  local code = table.remove(codes, 1)
  return code and wrk.format("POST", path, headers, form .. code) or wrk.format("GET")
end

function response(status, headers)
  if status == 303 or status == 302 then
    local location = headers["location"] or headers["Location"]
    codes[#codes + 1] = location:match("[?&]code=([^&]+)") or error("no code: " .. location)
  end
end
