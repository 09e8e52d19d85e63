-- @include record
-- Where waiting jobs stand. Plain jobs: the list `waiting`, pushed left, taken right. Jobs with a priority, and jobs that
-- came back to the front: the sorted set `priority`, which is served first; they are those whose record has an order.
-- The score is the order less the priority (0 to 2^21) times 2^32: no further from 0 than 2^53, so always exact. Priority 0
-- has its band to itself there, since its other jobs wait in the list: claim tokens order it, so that what comes back
-- keeps its place before the list.
local per_band = 4294967296

local function queue_score(r)
  return string.format("%.0f", tonumber(r.order) % per_band - (tonumber(r.priority) or 0) * per_band)
end

-- One marker for the workers that wait: there is something to claim, or something falls due earlier than known.
local function queue_wake(q)
  redis.call("ZADD", q.wake, 0, "w")
end

-- Reserves n orders (or nonces) and returns the one before the first. They rise per task and are never given twice.
local function queue_orders(q, n)
  if n == 0 then return 0 end
  return redis.call("HINCRBY", q.stats, "order", n) - n
end

local function queue_rank(q, scored)
  if #scored == 0 then return end
  redis.call("ZADD", q.priority, unpack(scored))
  redis.call("HSET", q.stats, "ranked", "1")
end

-- Puts jobs, tables { id =, r = } in order, into the back of their bands. Their records are the caller's to write, after.
local function queue_back(q, jobs)
  if #jobs == 0 then return end
  local places, scored, ranked = {}, {}, 0
  for _, job in ipairs(jobs) do
    if job.r.priority ~= "" then ranked = ranked + 1 end
  end
  local order = queue_orders(q, ranked)
  for _, job in ipairs(jobs) do
    local r = job.r
    if r.priority == "" then
      r.order = ""
      places[#places + 1] = record_place(job.id, r)
    else
      order = order + 1
      r.order = whole(order)
      scored[#scored + 1] = queue_score(r)
      scored[#scored + 1] = record_place(job.id, r)
    end
  end
  if #places > 0 then redis.call("LPUSH", q.waiting, unpack(places)) end
  queue_rank(q, scored)
  queue_wake(q)
end

-- Puts jobs back to the front of their bands, in the order in which they were first claimed.
local function queue_front(q, jobs)
  if #jobs == 0 then return end
  local scored = {}
  for _, job in ipairs(jobs) do
    local r = job.r
    if r.order == "" then r.order = r.token end
    scored[#scored + 1] = queue_score(r)
    scored[#scored + 1] = record_place(job.id, r)
  end
  queue_rank(q, scored)
  queue_wake(q)
end

-- Something falls due at `at` (nil: nothing does); `known`: the earliest time at which anything was known to. Returns the
-- earliest now known, which workers wait for.
local function queue_due(q, at, known)
  if not at or known and known <= at then return known end
  redis.call("HSET", q.stats, "due", whole(at))
  queue_wake(q)
  return at
end

-- Adds jobs to the delayed set; `scored`: due, place, due, place ... `due`: the earliest of them. Returns as `queue_due`.
local function queue_delay(q, scored, due, known)
  if #scored == 0 then return known end
  redis.call("ZADD", q.delayed, unpack(scored))
  return queue_due(q, due, known)
end
