-- `http-request lua.tallygate <url>` asks Tallygate about a request: 200 lets it pass and names its user in headers,
-- any other answer goes to the client as it is, and no answer is 503.
local IDENTITY = {
    "remote-user", "remote-name", "remote-email", "remote-groups",
    "x-auth-request-user", "x-auth-request-preferred-username", "x-auth-request-email", "x-auth-request-groups",
    "x-tallygate-groups-truncated", "x-tallygate-identity",
}
-- What the answer depends on; the rest of the client's headers is none of its business.
local ASKED = {
    "cookie", "authorization", "accept", "accept-language", "user-agent", "x-requested-with", "sec-fetch-mode",
    "sec-fetch-site", "sec-fetch-dest", "x-forwarded-for", "x-forwarded-proto",
}
local HOP_BY_HOP = {["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true,
                    ["content-length"] = true}

local function question(txn)
    local sent, asked = txn.http:req_get_headers(), {}
    for _, name in ipairs(ASKED) do
        if sent[name] then
            asked[name] = {}
            for index = 0, #sent[name] do table.insert(asked[name], sent[name][index]) end
        end
    end
    asked["x-forwarded-method"] = {txn.f:method()}
    asked["x-forwarded-host"] = {txn.f:req_hdr("host")}
    asked["x-forwarded-uri"] = {txn.f:pathq()}
    return asked
end

local function refuse(txn, answer)
    local headers = {}
    for name, values in pairs(answer.headers or {}) do
        if not HOP_BY_HOP[name] then
            headers[name] = {}
            for index = 0, #values do table.insert(headers[name], values[index]) end
        end
    end
    local status = answer.status or 0
    txn:done(txn:reply{status = status > 200 and status or 503, headers = headers, body = answer.body})
end

core.register_action("tallygate", {"http-req"}, function(txn, url)
    local answer = core.httpclient():get{url = url, headers = question(txn), timeout = 10000}
    if not answer or answer.status ~= 200 then return refuse(txn, answer or {}) end
    for _, name in ipairs(IDENTITY) do
        local values = answer.headers[name]
        txn.http:req_set_header(name, values and values[0] or "")
    end
end, 1)
