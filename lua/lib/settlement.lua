-- @include queue
-- @include events
-- @include finish
-- The settling half of `settle`: reads which runs are still held, takes them out of the active set, writes what became of them.
local settlement_fields = 6

-- Reads the settlements from ARGV on, each with its record where the caller's token is still the last one granted.
local function settlement_read(q, a, argv, first, requests)
  local items, keys, ids = {}, {}, {}
  for i = first, #argv, settlement_fields do
    local id = argv[i]
    items[#items + 1] = {
      id = id, token = argv[i + 1], kind = argv[i + 2], duration = argv[i + 3], run = argv[i + 4], body = argv[i + 5],
    }
    keys[#keys + 1] = a.base .. "job:" .. id
    ids[#ids + 1] = id
  end
  if #items == 0 then return items end
  local texts = redis.call("MGET", unpack(keys))
  local reasons = requests and redis.call("HMGET", q.cancels, unpack(ids)) or {}
  local held = {}
  for k, item in ipairs(items) do
    local r = held[item.id]
    if not r and texts[k] then
      local parsed = record_parse(texts[k])
      if parsed and parsed.state == "a" and parsed.token == item.token then r = parsed end
    end
    -- A progress report and the outcome behind it share one record.
    held[item.id] = r
    item.r = r
    item.requested = reasons[k] or nil
  end
  return items
end

-- Takes the ended runs out of the active set. ZREM comes first of all writes: a full server lets it through.
local function settlement_leave(q, items)
  local members, requested = {}, {}
  for _, item in ipairs(items) do
    if item.r and item.kind ~= "progress" then
      members[#members + 1] = item.id .. "\t" .. item.token
      if item.requested then requested[#requested + 1] = item.id end
    end
  end
  if #members > 0 then redis.call("ZREM", q.active, unpack(members)) end
  if #requested > 0 then
    redis.call("HINCRBY", q.stats, "requests", -redis.call("HDEL", q.cancels, unpack(requested)))
  end
  return #members > 0
end

local settlement_word = {
  completed = "c", failed = "f", retried = "r", cancelled = "x", released = "b", progress = "p",
}

local function settlement_end(call, a, item, state, outcome)
  local r = item.r
  r.state, r.finished, r.outcome = state, call.time, outcome
  local most = state == "c" and a.keepCompleted or a.keepFailed
  if most == "0" then
    finish_forget(call.bin, a.base, item.id, r.flags)
    return
  end
  local kept = call.kept[state]
  kept[#kept + 1] = finish_entry(item.id, call.time, r.flags)
  call.records[#call.records + 1] = a.base .. "job:" .. item.id
  call.records[#call.records + 1] = record_text(r)
end

local function settlement_add(count, name)
  count[name] = (count[name] or 0) + 1
end

local function settlement_cancelled(call, a, item, reason)
  events_tell(call.log, "cancelled", item.id .. "\t" .. reason, 1)
  settlement_add(call.count, "cancelled_active")
  settlement_end(call, a, item, "x", reason)
end

local settle_as = {}

function settle_as.completed(call, a, item)
  local r, body = item.r, item.body
  local told = body == "" and "" or "=" .. body
  if #body > tonumber(a.inline) then
    redis.call("SET", a.base .. "result:" .. item.id, body)
    r.flags = r.flags .. "r"
    told, body = "~", ""
  end
  events_tell(call.log, "completed",
    item.id .. "\t" .. r.attempt .. "\t" .. item.duration .. "\t" .. r.claimed .. "\t" .. told, 1)
  settlement_add(call.count, "completed")
  settlement_end(call, a, item, "c", body)
end

function settle_as.failed(call, a, item)
  local r = item.r
  local message, failure = string.match(item.body, "^([^\n]*)\n(.*)$")
  r.fails = r.attempt
  events_tell(call.log, "failed", item.id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t\t" .. message, 1)
  settlement_add(call.count, "attempts_failed")
  settlement_add(call.count, "failed")
  settlement_end(call, a, item, "f", failure)
end

function settle_as.retried(call, a, item)
  local r = item.r
  local delay, message, failure = string.match(item.body, "^(%d+)\n([^\n]*)\n(.*)$")
  delay = tonumber(delay)
  r.fails = r.attempt
  events_tell(call.log, "failed",
    item.id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t" .. whole(r.attempt + 1) .. "\t" .. message, 2)
  settlement_add(call.count, "attempts_failed")
  settlement_add(call.count, "retried")
  record_remember(r, call.now, "f")
  r.outcome = failure
  r.eligible = whole(call.now + delay)
  r.order = ""
  if delay == 0 then
    r.state = "w"
    call.back[#call.back + 1] = item
  else
    r.state = "d"
    call.scored[#call.scored + 1] = r.eligible
    call.scored[#call.scored + 1] = record_place(item.id, r)
    local due = call.now + delay
    if not call.earliest or due < call.earliest then call.earliest = due end
    call.stay[#call.stay + 1] = item
  end
end

function settle_as.cancelled(call, a, item)
  settlement_cancelled(call, a, item, item.body)
end

function settle_as.released(call, _, item)
  local r = item.r
  record_remember(r, call.now, "b")
  r.state, r.eligible = "w", call.time
  r.releases = whole((tonumber(r.releases) or 0) + 1)
  settlement_add(call.count, "released")
  call.front[#call.front + 1] = item
end

function settle_as.progress(call, a, item)
  local r = item.r
  redis.call("SET", a.base .. "progress:" .. item.id, item.body)
  if not string.find(r.flags, "p", 1, true) then r.flags = r.flags .. "p" end
  events_tell(call.log, "progress", item.id .. "\t" .. item.body, 1)
end

-- Writes what became of each run. `call` gathers what is written once for all: records, counters, entries.
-- Returns the letters, the reasons of those that a request turned into cancelled, and the earliest due time now known.
local function settlement_write(q, a, items, call)
  call.kept = { c = {}, f = {}, x = {} }
  call.back, call.front, call.stay, call.scored = {}, {}, {}, {}
  local words, reasons = {}, {}
  for k, item in ipairs(items) do
    if not item.r then
      words[k] = "l"
    else
      if item.run ~= "" then item.r.run = item.run end
      if item.requested and item.kind ~= "progress" then
        words[k] = "x"
        reasons[#reasons + 1] = item.requested
        settlement_cancelled(call, a, item, item.requested)
      else
        words[k] = settlement_word[item.kind]
        settle_as[item.kind](call, a, item)
      end
    end
  end
  queue_back(q, call.back)
  queue_front(q, call.front)
  local due = queue_delay(q, call.scored, call.earliest, call.due)
  for _, group in ipairs({ call.back, call.front, call.stay }) do
    for _, item in ipairs(group) do
      call.records[#call.records + 1] = a.base .. "job:" .. item.id
      call.records[#call.records + 1] = record_text(item.r)
    end
  end
  finish_keep(call.bin, a.base, q.completed, call.kept.c, tonumber(a.keepCompleted))
  finish_keep(call.bin, a.base, q.failed, call.kept.f, tonumber(a.keepFailed))
  finish_keep(call.bin, a.base, q.cancelled, call.kept.x, tonumber(a.keepFailed))
  return table.concat(words), reasons, due
end
