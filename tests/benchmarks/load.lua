-- What wrk sends: one tool call a request, over the protocol that ERA names. Prints one line of JSON at the end.
local era, tool, token = os.getenv("ERA"), os.getenv("TOOL"), os.getenv("TOKEN")
local user, next_id = os.getenv("USER_ID"), tonumber(os.getenv("FIRST_ID"))
local service = os.getenv("NAME_USER") == "1"

local arguments = {
  add_task = function() return '"title":"Call the bank","description":"On Friday, before noon"' end,
  list_tasks = function() return '"limit":50' end,
  complete_task = function() next_id = next_id + 1; return '"task_id":' .. (next_id - 1) end,
  update_task = function()
    next_id = next_id + 1
    return '"task_id":' .. (next_id - 1) .. ',"title":"Call the bank about card ' .. next_id .. '"'
  end,
}

local headers = {
  ["Content-Type"] = "application/json",
  ["Accept"] = "application/json, text/event-stream",
  ["Authorization"] = "Bearer " .. token,
}
local meta = ""
if era ~= "http" then headers["MCP-Protocol-Version"] = era end
if era == "2026-07-28" then
  headers["Mcp-Method"], headers["Mcp-Name"] = "tools/call", tool
  meta = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    .. '"io.modelcontextprotocol/clientCapabilities":{},'
    .. '"io.modelcontextprotocol/clientInfo":{"name":"wrk","version":"4"}}'
end

function request()
  local said = "{" .. (service and ('"user_id":"' .. user .. '",') or "") .. arguments[tool]() .. "}"
  if era == "http" then return wrk.format("POST", "/api/tools/" .. tool, headers, said) end
  local body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' .. tool .. '","arguments":' .. said .. meta .. "}}"
  return wrk.format("POST", os.getenv("MCP_PATH"), headers, body)
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('{"requests":%d,"microseconds":%d,"failed":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
