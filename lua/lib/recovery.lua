-- @include queue
-- @include events
-- @include finish
-- The parts of `upkeep`, each in a reading and a writing half.
local recovery_batch = 100
local promotion_batch = 250
local trim_look = 100
local lane_idle_ms = 3600000
local sweep_every_ms = 600000

-- Runs whose lease has run out: the deadline of a job still in `active` decides, and nothing else.
local function recovery_read(q, a, now)
  local found = redis.call("ZRANGE", q.active, "-inf", "(" .. whole(now), "BYSCORE", "LIMIT", 0, recovery_batch, "WITHSCORES")
  local lost = { runs = {}, more = #found == recovery_batch * 2 }
  if #found == 0 then return lost end
  local keys, ids = {}, {}
  for i = 1, #found, 2 do
    local id, token = string.match(found[i], "^([^\t]*)\t(.*)$")
    lost.runs[#lost.runs + 1] = { id = id, token = token, member = found[i], deadline = found[i + 1] }
    keys[#keys + 1] = a.base .. "job:" .. id
    ids[#ids + 1] = id
  end
  local texts = redis.call("MGET", unpack(keys))
  local reasons = redis.call("HMGET", q.cancels, unpack(ids))
  for k, run in ipairs(lost.runs) do
    local r = texts[k] and (record_parse(texts[k]) or record_repaired(run.token, whole(now)))
    -- A member whose record is gone or says otherwise belongs to nobody; it is only taken out.
    if r and r.state == "a" and r.token == run.token then run.r = r end
    run.requested = reasons[k] or nil
  end
  return lost
end

local function recovery_outcome(run, a)
  if run.requested then return "cancelled" end
  if (tonumber(run.r.stalls) or 0) > tonumber(a.stalls) then return "failed" end
  return "recovered"
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
      local action = recovery_outcome(run, a)
      local name = action == "cancelled" and "cancelled_active" or "stalled_" .. action
      count[name] = (count[name] or 0) + 1
      if action == "recovered" then
        events_tell(call.log, "stalled", id .. "\t" .. r.stalls .. "\trecovered", 1)
        record_remember(r, call.now, "s")
        r.state, r.eligible = "w", call.time
        front[#front + 1] = run
      else
        local list = action == "failed" and "f" or "x"
        local outcome = run.requested
        if action == "failed" then
          local message = "job stalled " .. r.stalls .. " times; its workers vanished while it ran"
          outcome = '{"name":"StalledError","message":"' .. message .. '"}'
          events_tell(call.log, "stalled", id .. "\t" .. r.stalls .. "\tfailed", 1)
          events_tell(call.log, "failed", id .. "\t" .. r.attempt .. "\t" .. r.claimed .. "\t\t\"" .. message .. "\"", 1)
          count.failed = (count.failed or 0) + 1
          count.attempts_failed = (count.attempts_failed or 0) + 1
          r.fails = r.attempt
        else
          requested[#requested + 1] = id
          events_tell(call.log, "cancelled", id .. "\t" .. outcome, 1)
        end
        r.state, r.finished, r.outcome = list, call.time, outcome
        if a.keepFailed == "0" then
          finish_forget(call.bin, a.base, id, r.flags)
        else
          kept[list][#kept[list] + 1] = id .. "\t" .. call.time .. "\t" .. r.flags
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
  if #kept.f > 0 then finish_keep(call.bin, a.base, q.failed, kept.f, tonumber(a.keepFailed)) end
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
local function promotion_read(q, a, now)
  local places = redis.call("ZRANGE", q.delayed, "-inf", whole(now), "BYSCORE", "LIMIT", 0, promotion_batch)
  local ready = { jobs = {}, places = places, more = #places == promotion_batch }
  if #places == 0 then return ready end
  local keys = {}
  for k, place in ipairs(places) do keys[k] = a.base .. "job:" .. string.match(place, "^[^\t]*") end
  local texts = redis.call("MGET", unpack(keys))
  for k, place in ipairs(places) do
    local r = texts[k] and record_parse(texts[k])
    if r and r.state == "d" then
      ready.jobs[#ready.jobs + 1] = { id = string.match(place, "^[^\t]*"), r = r, key = keys[k] }
    elseif texts[k] and not r then
      -- Damaged: let it be claimed, where it fails in the open.
      ready.jobs[#ready.jobs + 1] = { id = string.match(place, "^[^\t]*"), r = record_damaged(), key = keys[k] }
    end
  end
  return ready
end

-- Moves them to the back of their bands; returns when the next one falls due.
local function promotion_write(q, ready, call)
  if #ready.places > 0 then redis.call("ZREM", q.delayed, unpack(ready.places)) end
  for _, job in ipairs(ready.jobs) do job.r.state = "w" end
  queue_back(q, ready.jobs)
  for _, job in ipairs(ready.jobs) do
    call.records[#call.records + 1] = job.key
    call.records[#call.records + 1] = record_text(job.r)
  end
  if #ready.jobs > 0 then redis.call("HINCRBY", q.stats, "promoted", #ready.jobs) end
  local next_one = redis.call("ZRANGE", q.delayed, 0, 0, "WITHSCORES")
  if not next_one[2] then
    redis.call("HDEL", q.stats, "due")
    return nil
  end
  local due = tonumber(next_one[2])
  redis.call("HSET", q.stats, "due", whole(due))
  return due
end

-- Trims ended jobs that are older than their retention; true where more may be left.
local function trim_old(q, a, call)
  local more = false
  for _, kind in ipairs({ { q.completed, a.ageCompleted }, { q.failed, a.ageFailed }, { q.cancelled, a.ageFailed } }) do
    local list, oldest = kind[1], call.now - tonumber(kind[2])
    local entries = redis.call("LRANGE", list, -1, -1)
    local finished = entries[1] and tonumber(string.match(entries[1], "\t(%d+)\t"))
    if finished and finished < oldest then
      entries = redis.call("LRANGE", list, -trim_look, -1)
      local n = 0
      for i = #entries, 1, -1 do
        local id, at, flags = string.match(entries[i], "^([^\t]*)\t(%d+)\t(.*)$")
        if id and tonumber(at) >= oldest then break end
        if id then finish_forget(call.bin, a.base, id, flags) end
        n = n + 1
      end
      redis.call("RPOP", list, n)
      more = more or n == trim_look
    end
  end
  return more
end

-- Forgets lanes that nobody has used for an hour.
local function lanes_forget(q, call, swept)
  if call.now - swept < sweep_every_ms then return end
  local cursor, old = "0", {}
  for _ = 1, 20 do
    local page = redis.call("HSCAN", q.stats, cursor, "MATCH", "lane:*", "COUNT", 100)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local used = tonumber(string.match(page[2][i + 1], "^%d+ (%d+)\n"))
      if not used or call.now - used > lane_idle_ms then old[#old + 1] = page[2][i] end
    end
    if cursor == "0" then break end
  end
  if #old > 0 then redis.call("HDEL", q.stats, unpack(old, 1, math.min(#old, 1000))) end
  redis.call("HSET", q.stats, "swept", call.time)
end
