-- @include queue
-- @include events
-- @include finish
-- The settling half of `settle`: reads which runs are still held, takes them out of the active set, writes what became of them.
local settlement_fields = 6

-- Reads the settlements from ARGV on; `held` says that the caller's token is still the last one granted.
local function settlement_read(q, a, argv, first, requests)
  local items, keys, ids, k = {}, {}, {}, 0
  for i = first, #argv, settlement_fields do
    k = k + 1
    local id = argv[i]
    ids[k], keys[k] = id, a.base .. "job:" .. id
    items[k] = {
      id = id, key = keys[k], token = argv[i + 1], kind = argv[i + 2], duration = argv[i + 3], run = argv[i + 4],
      body = argv[i + 5],
    }
  end
  if k == 0 then return items end
  local texts = redis.call("MGET", unpack(keys))
  local reasons = requests and redis.call("HMGET", q.cancels, unpack(ids))
  for i = 1, k do
    local item, text = items[i], texts[i]
    local head = "a," .. item.token .. ","
    if text and string.sub(text, 1, #head) == head then
      item.held, item.text = true, text
      item.requested = reasons and reasons[i] or nil
    end
  end
  return items
end

-- Takes the ended runs out of the active set. ZREM comes first of all writes: a full server lets it through.
local function settlement_leave(q, items)
  local members, requested = {}, {}
  for _, item in ipairs(items) do
    if item.held and item.kind ~= "progress" then
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

-- The item's record as a table, shared by the items of one job: a progress report and the outcome behind it.
local function settlement_record(call, item)
  local r = call.opened[item.id]
  if not r then
    r = record_parse(item.text) or record_damaged()
    call.opened[item.id] = r
  end
  if item.run ~= "" then r.run = item.run end
  item.r = r
  return r
end

local settlement_word = {
  completed = "c", failed = "f", retried = "r", cancelled = "x", released = "b", progress = "p",
}

local function settlement_keep(call, a, item, state, flags, text)
  if (state == "c" and a.keepCompleted or a.keepFailed) == "0" then
    finish_forget(call.bin, a.base, item.id, flags)
    return
  end
  local kept, records = call.kept[state], call.records
  kept[#kept + 1] = finish_entry(item.id, call.time, flags)
  local n = #records
  records[n + 1], records[n + 2] = item.key, text
end

local function settlement_end(call, a, item, state, outcome)
  local r = item.r
  r.state, r.finished, r.outcome = state, call.time, outcome
  settlement_keep(call, a, item, state, r.flags, record_text(r))
end

local function settlement_add(count, name)
  count[name] = (count[name] or 0) + 1
end

local function settlement_cancelled(call, a, item, reason)
  settlement_record(call, item)
  events_tell(call.log, "cancelled", item.id .. "\t" .. reason, 1)
  settlement_add(call.count, "cancelled_active")
  settlement_end(call, a, item, "x", reason)
end

local settle_as = {}

-- The usual case: only the hot line and the outcome of the record change, so it is not taken apart.
function settle_as.completed(call, a, item)
  local ran, max, flags, run, at = string.match(item.text, "^a,%d+,(%d+,%d+),,(%d*),(%a*),([^\n]*)\n()")
  local opened = call.opened[item.id]
  if opened then flags = opened.flags end
  if item.run ~= "" then run = item.run end
  local body = item.body
  local told, outcome = body == "" and "" or "=" .. body, body
  if #body > call.inline then
    redis.call("SET", a.base .. "result:" .. item.id, body)
    flags, told, outcome = flags .. "r", "~", ""
  end
  events_tell(call.log, "completed", item.id .. "\t" .. ran .. "\t" .. item.duration .. "\t" .. told, 1)
  settlement_add(call.count, "completed")
  settlement_keep(call, a, item, "c", flags, "c," .. item.token .. "," .. ran .. "," .. call.time .. "," .. max .. ","
    .. flags .. "," .. run .. "\n" .. outcome .. string.sub(item.text, (string.find(item.text, "\n", at, true))))
end

function settle_as.failed(call, a, item)
  local r = settlement_record(call, item)
  local message, failure = string.match(item.body, "^([^\n]*)\n(.*)$")
  r.fails = r.attempt
  events_tell(call.log, "failed", item.id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t\t" .. message, 1)
  settlement_add(call.count, "attempts_failed")
  settlement_add(call.count, "failed")
  settlement_end(call, a, item, "f", failure)
end

function settle_as.retried(call, _, item)
  local r = settlement_record(call, item)
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
  local r = settlement_record(call, item)
  record_remember(r, call.now, "b")
  r.state, r.eligible = "w", call.time
  r.releases = whole((tonumber(r.releases) or 0) + 1)
  settlement_add(call.count, "released")
  call.front[#call.front + 1] = item
end

function settle_as.progress(call, a, item)
  local r = settlement_record(call, item)
  redis.call("SET", a.base .. "progress:" .. item.id, item.body)
  if not string.find(r.flags, "p", 1, true) then r.flags = r.flags .. "p" end
  events_tell(call.log, "progress", item.id .. "\t" .. item.body, 1)
end

-- Writes what became of each run. `call` gathers what is written once for all: records, counters, entries.
-- Returns the letters, the reasons of those that a request turned into cancelled, and the earliest due time now known.
local function settlement_write(q, a, items, call)
  call.kept, call.opened, call.inline = { c = {}, f = {}, x = {} }, {}, tonumber(a.inline)
  call.back, call.front, call.stay, call.scored = {}, {}, {}, {}
  local words, reasons = {}, {}
  for k, item in ipairs(items) do
    if not item.held then
      words[k] = "l"
    else
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
      call.records[#call.records + 1] = item.key
      call.records[#call.records + 1] = record_text(item.r)
    end
  end
  finish_keep(call.bin, a.base, q.completed, call.kept.c, tonumber(a.keepCompleted))
  finish_keep(call.bin, a.base, q.failed, call.kept.f, tonumber(a.keepFailed))
  finish_keep(call.bin, a.base, q.cancelled, call.kept.x, tonumber(a.keepFailed))
  return table.concat(words), reasons, due
end
