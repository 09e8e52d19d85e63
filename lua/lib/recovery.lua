-- @include queue
-- @include events
-- @include ended
-- @lazy flow
-- @lazy outbox
-- The parts of `upkeep`, each in a reading and a writing half.
-- `budget`: { jobs =, bytes =, pages = } that may still be touched, read and scanned, counted down by each part.
local recovery_batch = 100
local promotion_batch = 250
local trim_look = 100
local sweep_page = 100
local lane_idle_ms = 3600000
local sweep_every_ms = 600000

-- Reads a record of up to 1 MiB. One call each: how long the next one is shows only when it has been read. MGET takes a
-- key of another type for none, so that one spoilt key does not end the upkeep of all.
local function budget_read(budget, key)
  local text = redis.call("MGET", key)[1]
  budget.jobs = budget.jobs - 1
  budget.bytes = budget.bytes - (text and #text or 0)
  return text
end

local function budget_spent(budget)
  return budget.jobs <= 0 or budget.bytes <= 0
end

-- What becomes of a lost run, one stall more than its record says.
local function recovery_outcome(run, a)
  if run.requested then return "cancelled" end
  if (tonumber(run.r.stalls) or 0) + 1 > tonumber(a.stalls) then return "failed" end
  return "recovered"
end

-- Runs whose lease has run out: the deadline of a job still in `active` decides, and nothing else.
-- `f`: see `flow`, where the task's jobs may have terms.
local function recovery_read(q, a, now, budget, f)
  local most = math.min(recovery_batch, budget.jobs)
  local found = redis.call("ZRANGE", q.active, "-inf", "(" .. whole(now), "BYSCORE", "LIMIT", 0, most, "WITHSCORES")
  local lost = { runs = {}, more = #found == most * 2 }
  if #found == 0 then return lost end
  local texts, ids = {}, {}
  for i = 1, #found, 2 do
    if budget_spent(budget) then
      lost.more = true
      break
    end
    local id, token = string.match(found[i], "^([^\t]*)\t(.*)$")
    lost.runs[#lost.runs + 1] = { id = id, token = token, member = found[i], deadline = found[i + 1] }
    texts[#texts + 1] = budget_read(budget, a.base .. "job:" .. id)
    ids[#ids + 1] = id
  end
  local reasons = redis.call("HMGET", q.cancels, unpack(ids))
  for k, run in ipairs(lost.runs) do
    local r = texts[k] and (record_parse(texts[k]) or record_repaired(run.token, whole(now)))
    -- A member whose record is gone or says otherwise belongs to nobody; it is only taken out.
    if r and r.state == "a" and r.token == run.token then run.r = r end
    run.requested = reasons[k] or nil
    if run.r then
      run.action = recovery_outcome(run, a)
      if f then flow().left(f, run.id, run.r, run.action == "recovered" and "front" or "ended") end
    end
  end
  return lost
end

-- Returns id, action, count, deadline, head of record ... of what was done.
local function recovery_write(q, a, lost, call)
  local stalled, members, requested, front = {}, {}, {}, {}
  local count, kept = {}, { f = {}, x = {} }
  for _, run in ipairs(lost.runs) do members[#members + 1] = run.member end
  if #members > 0 then redis.call("ZREM", q.active, unpack(members)) end
  for _, run in ipairs(lost.runs) do
    local r, id = run.r, run.id
    if r then
      local head = record_head(record_text(r))
      if not run.requested then r.stalls = whole((tonumber(r.stalls) or 0) + 1) end
      local action = run.action
      local name = action == "cancelled" and "cancelled_active" or "stalled_" .. action
      count[name] = (count[name] or 0) + 1
      if action == "recovered" then
        events_tell(call.log, "s" .. id .. "\t" .. r.stalls .. "\trecovered", 1)
        record_remember(r, call.now, "s")
        r.state, r.eligible = "w", call.time
        front[#front + 1] = run
      else
        local list = action == "failed" and "f" or "x"
        local outcome = run.requested
        if action == "failed" then
          local message = "job stalled " .. r.stalls .. " times; its workers vanished while it ran"
          outcome = '{"name":"StalledError","message":"' .. message .. '"}'
          events_tell(call.log, "s" .. id .. "\t" .. r.stalls .. "\tfailed", 1)
          events_tell(call.log, "f" .. id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t\t\"" .. message .. "\"", 1)
          count.failed = (count.failed or 0) + 1
          count.attempts_failed = (count.attempts_failed or 0) + 1
          r.fails = r.attempt
        else
          requested[#requested + 1] = id
          events_tell(call.log, "x" .. id .. "\t" .. outcome, 1)
        end
        r.state, r.finished, r.outcome = list, failures_time(r, call.now), outcome
        if string.find(r.flags, "[nd]") then
          outbox().put(a.base, call.time, { id = id, letter = list, run = r.run, text = outcome })
        end
        if a.keepFailed == "0" then
          finish_forget(call.bin, a.base, id, r.flags)
        else
          if list == "f" then kept.f[#kept.f + 1] = whole(call.log.seq) end
          kept[list][#kept[list] + 1] = id .. "\t" .. r.finished .. "\t" .. r.flags
          call.records[#call.records + 1] = a.base .. "job:" .. id
          call.records[#call.records + 1] = record_text(r)
        end
      end
      for _, value in ipairs({ id, action, r.stalls == "" and "0" or r.stalls, run.deadline, head, run.requested or "" }) do
        stalled[#stalled + 1] = value
      end
    end
  end
  queue_front(q, front)
  for _, run in ipairs(front) do
    call.records[#call.records + 1] = a.base .. "job:" .. run.id
    call.records[#call.records + 1] = record_text(run.r)
  end
  if #requested > 0 then
    redis.call("HINCRBY", q.stats, "requests", -redis.call("HDEL", q.cancels, unpack(requested)))
  end
  if #kept.f > 0 then failures_keep(call.bin, a.base, q.failed, kept.f, tonumber(a.keepFailed)) end
  if #kept.x > 0 then finish_keep(call.bin, a.base, q.cancelled, kept.x, tonumber(a.keepFailed)) end
  for name, n in pairs(count) do redis.call("HINCRBY", q.stats, name, n) end
  return stalled
end

-- A receipt keeps the answer's parts between lines of their own; heads hold newlines, so those are written as \1.
local function recovery_receipt(answer)
  local parts = {}
  for k, part in ipairs(answer) do parts[k] = string.gsub(part, "\n", "\1") end
  return table.concat(parts, "\n")
end

local function recovery_again(receipt)
  local answer = {}
  for part in string.gmatch(receipt .. "\n", "([^\n]*)\n") do
    answer[#answer + 1] = (string.gsub(part, "\1", "\n"))
  end
  return answer
end

-- Delayed jobs that are due, with their records.
local function promotion_read(q, a, now, budget, f)
  local most = budget_spent(budget) and 0 or math.min(promotion_batch, budget.jobs)
  local places = redis.call("ZRANGE", q.delayed, "-inf", whole(now), "BYSCORE", "LIMIT", 0, most)
  local ready = { jobs = {}, places = {}, more = #places == most }
  for k, place in ipairs(places) do
    if budget_spent(budget) then
      ready.more = true
      break
    end
    ready.places[k] = place
    local id = string.match(place, "^[^\t]*")
    local key = a.base .. "job:" .. id
    local text = budget_read(budget, key)
    local r = text and record_parse(text)
    if f and f.gone[place] then
      -- It has expired, which comes first.
      ready.places[k] = place
    elseif r and r.state == "d" then
      ready.jobs[#ready.jobs + 1] = { id = id, r = r, key = key }
    elseif text and not r then
      -- Damaged: let it be claimed, where it fails in the open.
      ready.jobs[#ready.jobs + 1] = { id = id, r = record_damaged(), key = key }
    end
  end
  return ready
end

-- Moves them to the back of their bands.
local function promotion_write(q, ready, call)
  if #ready.places > 0 then redis.call("ZREM", q.delayed, unpack(ready.places)) end
  for _, job in ipairs(ready.jobs) do job.r.state = "w" end
  queue_back(q, ready.jobs)
  for _, job in ipairs(ready.jobs) do
    call.records[#call.records + 1] = job.key
    call.records[#call.records + 1] = record_text(job.r)
  end
  if #ready.jobs > 0 then redis.call("HINCRBY", q.stats, "promoted", #ready.jobs) end
end

-- Notes when the next thing falls due, and returns it; nil where nothing does.
local function due_next(q, f)
  local due = tonumber(redis.call("ZRANGE", q.delayed, 0, 0, "WITHSCORES")[2])
  local other = f and flow().due(f)
  if other and (not due or other < due) then due = other end
  if due then redis.call("HSET", q.stats, "due", whole(due)) else redis.call("HDEL", q.stats, "due") end
  return due
end

-- Trims ended jobs that are older than their retention; true where more may be left.
-- `expired`: jobs of the task have expired.
local function trim_old(q, a, call, budget, expired)
  local more = false
  local kinds = { { q.completed, a.ageCompleted }, { q.failed, a.ageFailed }, { q.cancelled, a.ageFailed } }
  if expired then kinds[4] = { a.base .. "expired", a.ageFailed } end
  for _, kind in ipairs(kinds) do
    local key, oldest = kind[1], call.now - tonumber(kind[2])
    local entry = ended_oldest(q, key, 1)[1]
    local finished = entry and tonumber(string.match(entry, "\t(%d+)\t"))
    if finished and finished < oldest then
      local look = math.min(trim_look, budget.jobs)
      if look <= 0 then return true end
      local n = ended_drop(q, key, call.bin, a.base, look, oldest)
      budget.jobs = budget.jobs - n
      more = more or n == look
    end
  end
  return more
end

-- Forgets lanes that nobody has used for an hour. `sweeping`: the cursor at which the last call left off, if it did; the
-- next one goes on from there, however many lanes there are.
local function lanes_forget(q, call, budget, swept, sweeping)
  if not sweeping and call.now - swept < sweep_every_ms then return end
  local cursor = sweeping or "0"
  while budget.pages > 0 do
    budget.pages = budget.pages - 1
    local page = redis.call("HSCAN", q.stats, cursor, "MATCH", "lane:*", "COUNT", sweep_page)
    cursor = page[1]
    local old = {}
    for i = 1, #page[2], 2 do
      local used = tonumber(string.match(page[2][i + 1], "^%d+ (%d+)\n"))
      if not used or call.now - used > lane_idle_ms then old[#old + 1] = page[2][i] end
    end
    for from = 1, #old, 1000 do
      redis.call("HDEL", q.stats, unpack(old, from, math.min(from + 999, #old)))
    end
    if cursor == "0" then
      redis.call("HDEL", q.stats, "sweeping")
      redis.call("HSET", q.stats, "swept", call.time)
      return
    end
  end
  redis.call("HSET", q.stats, "sweeping", cursor)
end
