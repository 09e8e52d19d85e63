-- @include events
-- @include fresh
-- @lazy claim_rare
-- @lazy flow
-- The claiming half of `settle`: finds jobs that wait, takes them, and leases them.
local tombs_skipped = 200
local fresh_length, apart_length = #fresh_head, #fresh_apart

-- Looks at the heads of both collections, and adds the keys of what stands there to `keys`. `want`: free slots; `ranked`:
-- the sorted set may hold jobs; `tombs`: how many cancelled jobs are left in the list, at the most.
local function claim_look(q, a, want, ranked, tombs, keys)
  if want <= 0 then return nil end
  local places = ranked and redis.call("ZRANGE", q.priority, 0, want - 1) or {}
  local from_ranked = #places
  local more = true
  if from_ranked < want then
    local look = want - from_ranked + math.min(tombs, tombs_skipped)
    local listed = redis.call("LRANGE", q.waiting, -look, -1)
    local length = #listed
    more = length == look
    for i = length, 1, -1 do places[from_ranked + length - i + 1] = listed[i] end
  end
  local base, at, ids = a.base .. "job:", #keys, {}
  for k = 1, #places do
    local place = places[k]
    local id = string.find(place, "\t", 1, true) and string.match(place, "^[^\t]*") or place
    ids[k], keys[at + k] = id, base .. id
  end
  return {
    jobs = {}, more = more, popped = 0, tombs = 0, ranked = from_ranked, unranked = ranked and from_ranked < want,
    places = places, ids = ids, at = at,
  }
end

-- Chooses the jobs to be claimed, by their records, and reads what data they have apart. Nothing has been written yet. `f`: see
-- `flow`, where the task's jobs may have terms.
local function claim_choose(a, want, found, keys, texts, f)
  local places, ids, jobs, at = found.places, found.ids, found.jobs, found.at
  local taken, from, to = #jobs, 1, #places
  while from <= to do
    for k = from, to do
      if taken == want then
        found.more = true
        if k <= found.ranked then found.ranked, found.unranked = k - 1, false end
        break
      end
      local text, ranks = texts[at + k], k <= found.ranked
      if not ranks then found.popped = found.popped + 1 end
      local job
      if text and not ranks and string.sub(text, 1, fresh_length) == fresh_head then
        -- The usual case, a job of the list before its first run: there is no need to take its record apart.
        job = { text = text }
      elseif text and not ranks and string.sub(text, 1, apart_length) == fresh_apart then
        job = { text = text, apart = true }
      end
      if not job or places[k] ~= ids[k] then
        job = claim_rare().job(places[k], text, ranks)
      end
      if job and f and job.r and not flow().starts(f, ids[k], job.r) then
        found.passed = true
      elseif job then
        taken = taken + 1
        job.key, job.id = keys[at + k], ids[k]
        if job.apart then
          found.apart = found.apart or {}
          found.apart[#found.apart + 1] = a.base .. "data:" .. job.id
        end
        jobs[taken] = job
      elseif not ranks then
        -- What a cancelled job left behind.
        found.tombs = found.tombs + 1
      end
    end
    from = to + 1
    if found.passed and taken < want and flow().further(f, a, found, keys, texts) then to = #places end
  end
  if found.passed then
    found.more = taken == want or found.capped or f.left_aside or false
  elseif taken < want and found.tombs == 0 then
    found.more = false
  end
  if found.apart then found.datas = redis.call("MGET", unpack(found.apart)) end
end

-- Takes what was found out of its collections.
local function claim_take(q, found)
  if found.ranked > 0 then redis.call("ZREM", q.priority, unpack(found.places, 1, found.ranked)) end
  if found.popped > 0 then redis.call("RPOP", q.waiting, found.popped) end
  if found.unranked then redis.call("HDEL", q.stats, "ranked") end
end

-- Leases what was taken, with tokens from `token` + 1 on. Appends id, record of each to `reply`, behind the record the
-- data where that lies apart, and returns the ids.
local function claim_write(q, a, found, call, token, reply)
  local jobs, ids, scored = found.jobs, {}, {}
  local deadline = whole(call.now + a.lease)
  local tail = ",1," .. call.time .. ",," .. a.attempts
  local tail_plain, tail_apart = tail .. ",,\n\n", tail .. ",b,\n\n"
  local records, log, at, told, opened = call.records, call.log, #call.records, #reply, 0
  for k = 1, #jobs do
    local job = jobs[k]
    local id, own, text = job.id, whole(token + k), job.text
    if job.r then
      if call.f then flow().started(call.f, id, job.r, own) end
      text = claim_rare().lease(job, own, a.attempts, call)
    else
      local from = (job.apart and apart_length or fresh_length) + 1
      local created, eligible = string.match(text, "^(%d+),(%d*),", from)
      text = "a," .. own .. (job.apart and tail_apart or tail_plain) .. string.sub(text, from)
      events_tell(log, "a" .. id .. "\t1\t" .. created .. "\t" .. eligible, 1)
    end
    ids[k] = id
    scored[2 * k - 1], scored[2 * k] = deadline, id .. "\t" .. own
    records[at + 2 * k - 1], records[at + 2 * k] = job.key, text
    reply[told + 1], reply[told + 2] = id, text
    told = told + 2
    if job.apart then
      opened, told = opened + 1, told + 1
      reply[told] = found.datas[opened]
    end
  end
  if #jobs > 0 then redis.call("ZADD", q.active, unpack(scored)) end
  return table.concat(ids, "\t")
end

-- Whether anything waits, of what can be claimed at once.
local function claim_left(q)
  return redis.call("LLEN", q.waiting) > 0 or redis.call("ZCARD", q.priority) > 0
end
