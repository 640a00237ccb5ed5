-- The requests that wrk sends, over the protocol that ERA names. Each is one call of TOOL; if TOOL is "mix", the tools
-- take turns. Prints one line of JSON at the end.
local era, tool, token = os.getenv("ERA"), os.getenv("TOOL"), os.getenv("TOKEN")
local user, next_id = os.getenv("USER_ID"), tonumber(os.getenv("FIRST_ID"))
local service = os.getenv("NAME_USER") == "1"

local arguments = {
  add_task = function() return '"title":"Call the bank","description":"On Friday, before noon"' end,
  list_tasks = function() return '"limit":50' end,
  complete_task = function() next_id = next_id + 1; return '"task_id":' .. (next_id - 1) end,
  update_task = function()
    next_id = next_id + 1
    return '"task_id":' .. (next_id - 1) .. ',"title":"Call the bank about card ' .. next_id .. '.' .. os.time() .. '"'
  end,
  -- Calls that the plain design lacks.
  add_due = function() return '"title":"Call the bank","due":"friday 9am","priority":"high","tags":["money"]' end,
  update_due = function()
    next_id = next_id + 1
    return '"task_id":' .. (next_id - 1) .. ',"due":"tomorrow"'
  end,
  list_due = function() return '"due":"..today","detail":"short"' end,
  search = function() return '"query":"task 77"' end,
}
local tool_of = {add_due = "add_task", update_due = "update_task", list_due = "list_tasks", search = "list_tasks"}

local headers = {
  ["Content-Type"] = "application/json",
  ["Accept"] = "application/json, text/event-stream",
  ["Authorization"] = "Bearer " .. token,
}
local mix = {"update_task", "complete_task", "delete_task", "add_task", "list_tasks"}
local turn = 0
if tool == "mix" then  -- each task is updated first, completed later, and deleted after that
  arguments.complete_task = function() return '"task_id":' .. (next_id - 100) end
  arguments.delete_task = function() return '"task_id":' .. (next_id - 200) end
end

local meta = ""
if era ~= "http" then headers["MCP-Protocol-Version"] = era end
if era == "2026-07-28" then
  headers["Mcp-Method"] = "tools/call"
  meta = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    .. '"io.modelcontextprotocol/clientCapabilities":{},'
    .. '"io.modelcontextprotocol/clientInfo":{"name":"wrk","version":"4"}}'
end

-- Calls of conversations. There are a thousand, so that writers seldom wait for each other.
local turn_of_two = '[{"role":"user","content":"Remind me to call the bank."},'
  .. '{"role":"assistant","content":"Done. Anything else?"}]'

function request()
  local name = tool
  if tool == "append" or tool == "read" then
    next_id = next_id % 1000 + 1
    local path = "/api/conversations/" .. next_id .. "/messages"
    if tool == "read" then return wrk.format("GET", path .. "?last=20", {["Authorization"] = headers["Authorization"]}) end
    return wrk.format("POST", path, headers, turn_of_two)
  end
  if tool == "mix" then
    turn = turn % #mix + 1
    name = mix[turn]
  end
  local chosen_arguments = "{" .. (service and ('"user_id":"' .. user .. '",') or "") .. arguments[name]() .. "}"
  name = tool_of[name] or name
  if era == "http" then return wrk.format("POST", "/api/tools/" .. name, headers, chosen_arguments) end
  if era == "2026-07-28" then headers["Mcp-Name"] = name end
  local body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' .. name .. '","arguments":' .. chosen_arguments .. meta .. "}}"
  return wrk.format("POST", os.getenv("MCP_PATH"), headers, body)
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('{"requests":%d,"microseconds":%d,"failed":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
