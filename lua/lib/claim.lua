-- @include queue
-- @include events
-- @include finish
-- The claiming half of `settle`: finds jobs that wait, takes them, and leases them.
local tombs_skipped = 200
local fresh_length = #fresh_head

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
  if from_ranked < want then
    local look = want - from_ranked + math.min(tombs, tombs_skipped)
    local listed = redis.call("LRANGE", q.waiting, -look, -1)
    local length = #listed
    found.more = length == look
    for i = length, 1, -1 do places[from_ranked + length - i + 1] = listed[i] end
  end
  local count = #places
  if count == 0 then return found end
  local keys, ids, jobs, taken = {}, {}, found.jobs, 0
  for k = 1, count do
    local place = places[k]
    local id = string.find(place, "\t", 1, true) and claim_id(place) or place
    ids[k] = id
    keys[k] = a.base .. "job:" .. id
  end
  local texts = redis.call("MGET", unpack(keys))
  for k = 1, count do
    if taken == want then
      found.more = true
      break
    end
    local id, place, text, ranks = ids[k], places[k], texts[k], k <= from_ranked
    if ranks then found.places[k] = place else found.popped = found.popped + 1 end
    if text and not ranks and id == place and string.sub(text, 1, fresh_length) == fresh_head then
      -- The usual case, a plain job before its first run: there is no need to take its record apart.
      taken = taken + 1
      jobs[taken] = { id = id, key = keys[k], text = text }
    else
      local r = text and (record_parse(text) or record_damaged())
      -- Anything else is what a cancelled job left behind.
      if r and r.state == "w" and (r.flags == "d" or record_place(id, r) == place and (r.order ~= "") == ranks) then
        taken = taken + 1
        jobs[taken] = { id = id, key = keys[k], r = r }
      elseif not ranks then
        found.tombs = found.tombs + 1
      end
    end
  end
  if taken < want and found.tombs == 0 then found.more = false end
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
  local jobs, claimed, scored = found.jobs, {}, {}
  local count = #jobs
  if count == 0 then return claimed end
  local deadline = whole(call.now + tonumber(a.lease))
  local fresh_tail = ",1," .. call.time .. ",," .. a.attempts .. ",,\n\n"
  local records, log, at = call.records, call.log, #call.records
  for k = 1, count do
    local job = jobs[k]
    local id, r, own = job.id, job.r, whole(token + k)
    local text
    if r then
      r.state, r.token, r.claimed, r.max = "a", own, call.time, a.attempts
      r.attempt = whole((tonumber(r.fails) or 0) + 1)
      text = record_text(r)
      events_tell(log, "active", id .. "\t" .. r.attempt .. "\t" .. r.created .. "\t" .. record_eligible(r), 1)
    else
      text = "a," .. own .. fresh_tail .. string.sub(job.text, fresh_length + 1)
      local created, eligible = string.match(job.text, "^(%d+),(%d*),", fresh_length + 1)
      if eligible == "" then eligible = created end
      events_tell(log, "active", id .. "\t1\t" .. created .. "\t" .. eligible, 1)
    end
    scored[2 * k - 1], scored[2 * k] = deadline, id .. "\t" .. own
    records[at + 2 * k - 1], records[at + 2 * k] = job.key, text
    claimed[2 * k - 1], claimed[2 * k] = id, text
  end
  redis.call("ZADD", q.active, unpack(scored))
  call.count.started = count
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
