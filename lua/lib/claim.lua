-- @include queue
-- @include events
-- @include finish
-- The claiming half of `settle`: finds jobs that wait, takes them, and leases them.
local tombs_skipped = 200

local function claim_id(place)
  return string.match(place, "^[^\t]*")
end

-- Looks at the heads of both collections, writing nothing. `want`: free slots; `ranked`: the sorted set may hold jobs;
-- `tombs`: how many cancelled jobs are left in the list, at the most.
local function claim_find(q, a, want, ranked, tombs)
  local found = { jobs = {}, places = {}, popped = 0, tombs = 0, more = false, unranked = false }
  if want <= 0 then return found end
  local places = ranked and redis.call("ZRANGE", q.priority, 0, want - 1) or {}
  local from_ranked = #places
  found.unranked = ranked and from_ranked < want
  local listed = {}
  if from_ranked < want then
    local look = want - from_ranked + math.min(tombs, tombs_skipped)
    listed = redis.call("LRANGE", q.waiting, -look, -1)
    found.more = #listed == look
    for i = #listed, 1, -1 do places[#places + 1] = listed[i] end
  end
  if #places == 0 then return found end
  local keys = {}
  for k, place in ipairs(places) do keys[k] = a.base .. "job:" .. claim_id(place) end
  local texts = redis.call("MGET", unpack(keys))
  for k, place in ipairs(places) do
    if #found.jobs == want then
      found.more = true
      break
    end
    local id, text = claim_id(place), texts[k]
    local r = text and (record_parse(text) or record_damaged())
    local ranks = k <= from_ranked
    if ranks then found.places[#found.places + 1] = place else found.popped = found.popped + 1 end
    -- Anything else is what a cancelled job left behind.
    if r and r.state == "w" and record_place(id, r) == place and (r.order ~= "") == ranks then
      found.jobs[#found.jobs + 1] = { id = id, r = r }
    elseif not ranks then
      found.tombs = found.tombs + 1
    end
  end
  if #found.jobs < want and found.tombs == 0 then found.more = false end
  return found
end

-- Takes what was found out of its collections.
local function claim_take(q, found)
  if #found.places > 0 then redis.call("ZREM", q.priority, unpack(found.places)) end
  if found.popped > 0 then redis.call("RPOP", q.waiting, found.popped) end
  if found.unranked then redis.call("HDEL", q.stats, "ranked") end
end

-- Leases what was taken, with tokens from `token` + 1 on. Returns id, record, id, record ...
local function claim_write(q, a, found, call, token)
  local claimed, scored = {}, {}
  local deadline = whole(call.now + tonumber(a.lease))
  for _, job in ipairs(found.jobs) do
    local id, r = job.id, job.r
    token = token + 1
    r.state, r.token, r.claimed, r.max = "a", whole(token), call.time, a.attempts
    r.attempt = whole((tonumber(r.fails) or 0) + 1)
    scored[#scored + 1] = deadline
    scored[#scored + 1] = id .. "\t" .. r.token
    events_tell(call.log, "active",
      id .. "\t" .. r.attempt .. "\t" .. r.created .. "\t" .. record_eligible(r), 1)
    local text = record_text(r)
    local n = #call.records
    call.records[n + 1], call.records[n + 2] = a.base .. "job:" .. id, text
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = text
  end
  if #scored > 0 then
    redis.call("ZADD", q.active, unpack(scored))
    call.count.started = #found.jobs
  end
  return claimed
end

-- Answers a repeated call: the same words, and of the claimed jobs those that are still held under their token.
local function claim_again(q, a, now, answer)
  local words, seq, more, token, ids, reasons = string.match(answer, "^(%a*)\n(%d+)\n(%d*)\n(%d+)\n([^\n]*)\n(.*)$")
  local reply = { "settled", now, words, seq, redis.call("HGET", q.stats, "due") or "", more, reasons }
  for id in string.gmatch(ids, "[^\t]+") do
    token = token + 1
    local text = redis.call("GET", a.base .. "job:" .. id)
    local r = text and record_parse(text)
    if r and r.state == "a" and tonumber(r.token) == token then
      reply[#reply + 1] = id
      reply[#reply + 1] = text
    end
  end
  return reply
end

-- Whether anything waits, of what can be claimed at once.
local function claim_left(q)
  return redis.call("LLEN", q.waiting) > 0 or redis.call("ZCARD", q.priority) > 0
end
