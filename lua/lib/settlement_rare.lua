-- @include record
-- @include queue
-- @include failures
-- @lazy outbox
-- What `settlement` needs for anything but plain completions.

-- Notes which of the items somebody asked to cancel.
local function read_requests(q, items)
  local ids = {}
  for k, item in ipairs(items) do ids[k] = item.id end
  local reasons = redis.call("HMGET", q.cancels, unpack(ids))
  for k, item in ipairs(items) do
    if item.held then item.requested = reasons[k] or nil end
  end
end

-- Requests that are about to be fulfilled.
local function drop_requests(q, items)
  local ids = {}
  for _, item in ipairs(items) do
    if item.requested and item.kind ~= "progress" then ids[#ids + 1] = item.id end
  end
  if #ids > 0 then redis.call("HINCRBY", q.stats, "requests", -redis.call("HDEL", q.cancels, unpack(ids))) end
end

-- The item's record as a table, shared by the items of one job: a progress report and the outcome behind it.
local function open_record(call, item)
  call.opened = call.opened or {}
  local r = call.opened[item.id]
  if not r then
    r = record_parse(item.text) or record_repaired(item.token, call.time)
    call.opened[item.id] = r
  end
  if item.run ~= "" then r.run = item.run end
  item.r = r
  return r
end

-- The text of a record that could not be read, as far as it can be made good.
local function repaired(call, item)
  return record_text(record_repaired(item.token, call.time))
end

local function begin(call)
  if call.rare then return end
  call.rare = { back = {}, front = {}, stay = {}, scored = {}, f = {}, x = {} }
end

local function add(call, name)
  call.count[name] = (call.count[name] or 0) + 1
end

local function keep_record(call, item)
  local records = call.records
  records[#records + 1] = item.key
  records[#records + 1] = record_text(item.r)
end

-- Ends the job for good, in state f or x.
local function finish(call, a, item, state, outcome)
  local r = item.r
  r.state, r.finished, r.outcome = state, failures_time(r, call.now), outcome
  if string.find(r.flags, "[nd]") then
    outbox().put(a.base, call.time, { id = item.id, letter = state, run = r.run, text = outcome })
  end
  if a.keepFailed == "0" then
    finish_forget(call.bin, a.base, item.id, r.flags)
    return
  end
  local kept = call.rare[state]
  if state == "f" then kept[#kept + 1] = whole(call.log.seq) end
  kept[#kept + 1] = item.id .. "\t" .. r.finished .. "\t" .. r.flags
  keep_record(call, item)
end

local function cancelled(call, a, item, reason)
  open_record(call, item)
  call.reasons[#call.reasons + 1] = reason
  events_tell(call.log, "x" .. item.id .. "\t" .. reason, 1)
  add(call, "cancelled_active")
  finish(call, a, item, "x", reason)
  return "x"
end

local as = {}

function as.failed(call, a, item)
  local r = open_record(call, item)
  local message, failure = string.match(item.body, "^([^\n]*)\n(.*)$")
  r.fails = r.attempt
  events_tell(call.log, "f" .. item.id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t\t" .. message, 1)
  add(call, "attempts_failed")
  add(call, "failed")
  finish(call, a, item, "f", failure)
  return "f"
end

function as.retried(call, _, item)
  local r, rare = open_record(call, item), call.rare
  local delay, message, failure = string.match(item.body, "^(%d+)\n([^\n]*)\n(.*)$")
  delay = tonumber(delay)
  r.fails = r.attempt
  events_tell(call.log,
    "f" .. item.id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t" .. whole(r.attempt + 1) .. "\t" .. message, 2)
  add(call, "attempts_failed")
  add(call, "retried")
  record_remember(r, call.now, "f")
  r.outcome = failure
  r.eligible = whole(call.now + delay)
  r.order = ""
  if delay == 0 then
    r.state = "w"
    rare.back[#rare.back + 1] = item
  else
    r.state = "d"
    rare.scored[#rare.scored + 1] = r.eligible
    rare.scored[#rare.scored + 1] = record_place(item.id, r)
    local due = call.now + delay
    if not rare.earliest or due < rare.earliest then rare.earliest = due end
    rare.stay[#rare.stay + 1] = item
  end
  return "r"
end

function as.cancelled(call, a, item)
  return cancelled(call, a, item, item.body)
end

function as.released(call, _, item)
  local r = open_record(call, item)
  record_remember(r, call.now, "b")
  r.state, r.eligible = "w", call.time
  r.releases = whole((tonumber(r.releases) or 0) + 1)
  add(call, "released")
  call.rare.front[#call.rare.front + 1] = item
  return "b"
end

function as.progress(call, a, item)
  local r = open_record(call, item)
  redis.call("SET", a.base .. "progress:" .. item.id, item.body)
  if not string.find(r.flags, "p", 1, true) then r.flags = r.flags .. "p" end
  events_tell(call.log, "p" .. item.id .. "\t" .. item.body, 1)
  return "p"
end

-- Settles one item; returns its letter.
local function settle(call, a, item)
  begin(call)
  if item.requested and item.kind ~= "progress" then
    return cancelled(call, a, item, item.requested)
  end
  return as[item.kind](call, a, item)
end

-- Puts jobs that go on into their collections, and ended ones into their lists.
local function write(q, a, call)
  local rare = call.rare
  queue_back(q, rare.back)
  queue_front(q, rare.front)
  call.due = queue_delay(q, rare.scored, rare.earliest, call.due)
  for _, group in ipairs({ rare.back, rare.front, rare.stay }) do
    for _, item in ipairs(group) do keep_record(call, item) end
  end
  if #rare.f > 0 then failures_keep(call.bin, a.base, q.failed, rare.f, tonumber(a.keepFailed)) end
  if #rare.x > 0 then finish_keep(call.bin, a.base, q.cancelled, rare.x, tonumber(a.keepFailed)) end
end

return {
  read_requests = read_requests, drop_requests = drop_requests, repaired = repaired, settle = settle, write = write,
}
