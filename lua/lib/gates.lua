-- @include record
-- @include events
-- @include finish
-- @lazy flow
-- What stands between a dispatch and its job: a throttle, a debounce or a deduplication, under a key of the user's.
--   throttle:<key>  list of the times at which jobs were let in, newest first
--   debounce:<key>  "id \t nonce \t begun" of the delayed job that the next dispatch replaces; it goes when that falls due
--   dedupe:<key>    sorted set of the ids of jobs that have not ended, by their dispatch, in us (those of a call follow one another)
-- Everything is decided before anything is written; what was decided of a call's jobs is kept here for those behind them.
local throttles, debounces, dedupes, replaced, seq, leaving = {}, {}, {}, {}, 0, nil
-- How many of the oldest and of the newest jobs under one key are looked at.
local dedupe_look = 32
-- A key of times outlives its window a little: Redis may forget it a moment before that is over by its own clock.
local throttle_grace_ms = 1000

-- Lets in `most` in any window: those at its very ends count too.
local function throttle(a, gate, now)
  local t = throttles[gate.key]
  if not t then
    local key = a.base .. "throttle:" .. gate.key
    t = { key = key, held = redis.call("LLEN", key), passed = 0, keep = 0, window = 0 }
    throttles[gate.key] = t
  end
  local passed, most, window = t.passed, gate.most, gate.window
  if t.held + passed >= most then
    local oldest = passed >= most and now or tonumber(redis.call("LINDEX", t.key, most - 1 - passed))
    if now - oldest <= window then return "t", whole(oldest + window + 1 - now) end
  end
  t.passed = passed + 1
  if most > t.keep then t.keep = most end
  if window > t.window then t.window = window end
  return "s"
end

-- The job under a debounce key, if it still waits for its time and has never run.
local function debounce_read(a, key)
  local d = { key = key }
  local id, nonce, begun = string.match(redis.call("MGET", key)[1] or "", "^([^\t]*)\t(%d+)\t(%d+)$")
  if not id then return d end
  local text = redis.call("MGET", a.base .. "job:" .. id)[1]
  local r = text and record_parse(text)
  if r and r.state == "d" and r.nonce == nonce and r.attempt == "" then
    d.job, d.begun = { id = id, r = r, stored = true }, tonumber(begun)
  end
  return d
end

-- Takes the place of the job before it.
local function debounce(a, job, now)
  local gate = job.gate
  local d = debounces[gate.key]
  if not d then
    d = debounce_read(a, a.base .. "debounce:" .. gate.key)
    debounces[gate.key] = d
  end
  local earlier = d.job
  if not earlier then d.begun = now end
  job.delay = gate.delay
  if gate.most then job.delay = math.max(0, math.min(gate.delay, d.begun + gate.most - now)) end
  job.nonced = true
  -- One that has waited long enough begins at once, and nobody can replace it any more.
  d.job = job.delay > 0 and job or nil
  d.written = job
  if not earlier then return "s" end
  earlier.gate, earlier.dropped = gate, true
  replaced[#replaced + 1] = earlier
  return "b", earlier.id
end

-- Jobs under a key, oldest first, and the letters of their states; the last `new` of them are this call's own. Those that have
-- ended or gone are `over`.
local function dedupe_read(a, key)
  local ids = redis.call("ZRANGE", key, 0, 2 * dedupe_look - 1)
  if #ids == 2 * dedupe_look then
    ids = redis.call("ZRANGE", key, 0, dedupe_look - 1)
    for _, id in ipairs(redis.call("ZRANGE", key, -dedupe_look, -1)) do ids[#ids + 1] = id end
  end
  local u = { key = key, ids = {}, states = {}, new = 0 }
  if #ids == 0 then return u end
  local names = {}
  for k, id in ipairs(ids) do names[k] = a.base .. "job:" .. id end
  local texts = redis.call("MGET", unpack(names))
  for k, id in ipairs(ids) do
    local state = texts[k] and string.match(texts[k], "^([wnkda]),")
    if state then
      u.ids[#u.ids + 1], u.states[#u.states + 1] = id, (state == "k" or state == "n") and "w" or state
    else
      u.over = u.over or {}
      u.over[#u.over + 1] = id
    end
  end
  return u
end

-- Says of many keys at once that no job lives under them, where that is so: most are new.
local function dedupe_free(a, keys)
  local names = {}
  for k, key in ipairs(keys) do names[k] = a.base .. "dedupe:" .. key end
  if #keys == 0 or redis.call("EXISTS", unpack(names)) > 0 then return end
  for k, key in ipairs(keys) do dedupes[key] = { key = names[k], ids = {}, states = {}, new = 0 } end
end

-- Gives way to a job in one of the states; `state`: the one in which the new job `id` would be.
local function dedupe(a, gate, id, state)
  local u = dedupes[gate.key]
  if not u then
    u = dedupe_read(a, a.base .. "dedupe:" .. gate.key)
    dedupes[gate.key] = u
  end
  local ids, states = u.ids, u.states
  local n = #ids
  for k = n, 1, -1 do
    if string.find(gate.states, states[k], 1, true) then return "u", ids[k] end
  end
  ids[n + 1], states[n + 1], u.new = id, state, u.new + 1
  return "s"
end

-- Reads what remains to be read: before the first write of the call.
local function ready(q, a, now)
  if #replaced == 0 then return end
  for _, job in ipairs(replaced) do
    if job.stored and job.r.terms ~= "" then
      leaving = leaving or flow().open(q, a, now)
      flow().left(leaving, job.id, job.r, "ended")
    end
  end
  redis.call("LLEN", a.base .. "cancelled")
  redis.call("XRANGE", a.base .. "events", "-", "+", "COUNT", 1)
  redis.call("ZCARD", q.delayed)
  seq = tonumber(redis.call("HGET", q.stats, "seq") or "0")
end

-- Ends the jobs that others have replaced: cancelled, as by a call of its own. Returns the head of each one's record.
local function replaced_write(q, a, now)
  local heads, records, places, kept, bin = {}, {}, {}, {}, { gone = {}, expire = {} }
  local last = replaced[#replaced].gate
  local keep = tonumber(last.keep)
  local log = events_begin(a.base .. "events", last.instance, last.maxlen, seq)
  for k, job in ipairs(replaced) do
    local r = job.r
    heads[k] = record_head(record_text(r))
    if job.stored then places[#places + 1] = record_place(job.id, r) end
    events_tell(log, "x" .. job.id .. '\t"debounced"', 1)
    r.state, r.finished, r.outcome = "x", whole(now), '"debounced"'
    if keep > 0 then
      newcomer_add(records, a.base, job.id, record_text(r), job.data)
      kept[#kept + 1] = job.id .. "\t" .. r.finished .. "\t" .. r.flags
    elseif job.stored then
      finish_forget(bin, a.base, job.id, r.flags)
    end
  end
  if #places > 0 then redis.call("ZREM", q.delayed, unpack(places)) end
  if leaving then flow().write(leaving, nil) end
  newcomer_store(records)
  if #kept > 0 then finish_keep(bin, a.base, a.base .. "cancelled", kept, keep) end
  finish_sweep(bin)
  events_flush(log)
  redis.call("HINCRBY", q.stats, "cancelled_delayed", #replaced)
  redis.call("HSET", q.stats, "seq", whole(log.seq))
  return heads
end

-- Notes who was let in; behind the first write of the call. Returns the heads of the records of those that were replaced.
local function write(q, a, now)
  for _, t in pairs(throttles) do
    if t.passed > 0 then
      local times, time = {}, whole(now)
      for k = 1, t.passed do times[k] = time end
      if redis.call("LPUSH", t.key, unpack(times)) > t.keep then redis.call("LTRIM", t.key, 0, t.keep - 1) end
      redis.call("PEXPIRE", t.key, whole(t.window + throttle_grace_ms))
    end
  end
  for _, d in pairs(debounces) do
    local job = d.written
    if d.job then
      redis.call("SET", d.key, job.id .. "\t" .. job.r.nonce .. "\t" .. whole(d.begun), "PX", whole(job.delay))
    else
      redis.call("DEL", d.key)
    end
  end
  for _, u in pairs(dedupes) do
    local ids, new = u.ids, u.new
    for k = 1, new do redis.call("ZADD", u.key, whole(now * 1000 + k), ids[#ids - new + k]) end
    if u.over then redis.call("ZREM", u.key, unpack(u.over)) end
  end
  return #replaced > 0 and replaced_write(q, a, now) or nil
end

-- Whether the job is stored: s, or b where it replaced another; else t or u. With t the ms until it may come again, with b
-- and u the id of the other job.
local function try(a, job, now)
  local gate = job.gate
  if gate.kind == "throttle" then return throttle(a, gate, now) end
  if gate.kind == "debounce" then return debounce(a, job, now) end
  local word, note = dedupe(a, gate, job.id, job.delay > 0 and "d" or "w")
  if word == "s" then job.terms.dedupe = gate.key end
  return word, note
end

return { throttle = throttle, dedupe = dedupe, dedupe_free = dedupe_free, try = try, ready = ready, write = write }
