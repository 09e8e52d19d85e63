-- @include record
-- @include terms
-- @include queue
-- Concurrency keys: of the jobs of one key at most so many are active as each of them allows. What is read is kept in a
-- table of the call's own, `p`; `parking_write` writes it all.
--   holders:<key>  a sorted set of those that have a slot of the key: "id \t token", a lease; or "\t" and the place of a job
--                  that waits at the front of its band with a slot kept for it
--   parked         all jobs that wait for a slot, in one sorted set without scores, so in the order of their members:
--                  key \t rank \t place. The rank is of fixed width: priority, the highest first, then turn
-- A parked job is released, to the front of its band, by the script that frees a slot of its key; so while jobs of a key are
-- parked, all slots that the first of them may have are taken.
local parking_heads = 200
local parking_checked = 100
local highest_priority = 2097152
local at_once = 500

local function parking_open(q, base, now)
  return {
    q = q, base = base, parked = base .. "parked", time = whole(now), keys = {}, list = {}, heads = parking_heads,
    parking = {}, unparked = {}, gone = {}, released = {},
  }
end

-- Adds score, member, score, member ... to a sorted set, and takes members out of it, some at a time.
local function zset_add(key, scored)
  for from = 1, #scored, at_once do
    redis.call("ZADD", key, unpack(scored, from, math.min(from + at_once - 1, #scored)))
  end
end

local function zset_remove(key, members)
  for from = 1, #members, at_once do
    redis.call("ZREM", key, unpack(members, from, math.min(from + at_once - 1, #members)))
  end
end

-- Adds to the parked jobs, and takes from them; `added`: 0, member ...
local function parking_add(p, added, taken)
  if #added == 0 and (not taken or #taken == 0) then return end
  if taken then zset_remove(p.parked, taken) end
  zset_add(p.parked, added)
  redis.call("HSET", p.q.stats, "parked", whole(redis.call("ZCARD", p.parked)))
end

local function parking_key(p, name)
  local k = p.keys[name]
  if not k then
    local holders = p.base .. "holders:" .. name
    k = {
      name = name, holders = holders, held = redis.call("ZCARD", holders), free = 0, out = {}, gone = {}, into = {},
      parking = {},
    }
    p.keys[name] = k
    p.list[#p.list + 1] = k
  end
  return k
end

local function parking_member(t, id, r)
  local rank = string.format("%07d%016d", highest_priority - (tonumber(r.priority) or 0), tonumber(t.turn) or 0)
  return t.key .. "\t" .. rank .. "\t" .. record_place(id, r)
end

local function parking_kept(id, r)
  return "\t" .. record_place(id, r)
end

local function parking_drop(k, member)
  k.gone[member] = true
  k.out[#k.out + 1] = member
  k.held = k.held - 1
end

-- Gives back a slot, if it is held.
local function parking_leave(k, member)
  if k.gone[member] or not redis.call("ZSCORE", k.holders, member) then return end
  parking_drop(k, member)
  k.free = k.free + 1
end

-- Leases decide who holds a slot: drops those of the oldest holders that `active` does not know, and those kept for jobs that
-- wait no more.
local function parking_check(p, k)
  if k.checked then return end
  k.checked = true
  local members = redis.call("ZRANGE", k.holders, 0, parking_checked - 1)
  if #members == 0 then return end
  local held = redis.call("ZMSCORE", p.base .. "active", unpack(members))
  for i, member in ipairs(members) do
    local place = string.match(member, "^\t(.*)$")
    local holds = held[i]
    if place then
      local id = string.match(place, "^[^\t]*")
      local text = redis.call("MGET", p.base .. "job:" .. id)[1]
      local r = text and record_parse(text)
      holds = r and r.state == "w" and record_place(id, r) == place
    end
    if not holds and not k.gone[member] then
      parking_drop(k, member)
      k.free = k.free + 1
    end
  end
end

-- The first `most` parked jobs of a key, after a member where one is given.
local function parking_line(p, k, most, after)
  return redis.call("ZRANGE", p.parked, after and "(" .. after or "[" .. k.name .. "\t", "(" .. k.name .. "\n", "BYLEX",
    "LIMIT", 0, most)
end

-- How many parked jobs stand before a member, counted up to `most`.
local function parking_ahead(p, k, member, most)
  local ahead = 0
  for _, other in ipairs(k.parking) do
    if other.member < member then ahead = ahead + 1 end
  end
  for _, other in ipairs(parking_line(p, k, most)) do
    if other < member then ahead = ahead + 1 end
  end
  return ahead
end

-- Whether a job that waits may be started: then it has a slot, and `parking_take` says under which token. Else it is parked.
local function parking_admits(p, t, id, r)
  local k, limit = parking_key(p, t.key), tonumber(t.limit)
  local kept, member = parking_kept(id, r), parking_member(t, id, r)
  local has = redis.call("ZSCORE", k.holders, kept) and not k.gone[kept]
  if k.held - (has and 1 or 0) >= limit then parking_check(p, k) end
  local free = limit - k.held + (has and 1 or 0)
  if has then parking_drop(k, kept) end
  if free > 0 and (has or parking_ahead(p, k, member, free) < free) then
    k.held = k.held + 1
    return true
  end
  -- The slot that was kept for it may suit others, where their limits are higher.
  if free > 0 or has then k.free = math.max(k.free, free, 1) end
  r.state = "k"
  local job = { id = id, r = r, member = member, limit = limit }
  p.parking[#p.parking + 1] = job
  k.parking[#k.parking + 1] = job
  return false
end

-- Whether a new job of the key must be parked at once: no slot is free, or others wait for one.
local function parking_bars(p, t)
  local k = parking_key(p, t.key)
  if k.held >= tonumber(t.limit) then parking_check(p, k) end
  if k.bars == nil then k.bars = #parking_line(p, k, 1) > 0 end
  k.bars = k.bars or k.held >= tonumber(t.limit)
  return k.bars
end

-- Keeps a slot for a job that waits at the front.
local function parking_keep(p, k, kept)
  k.held = k.held + 1
  k.into[#k.into + 1] = p.time
  k.into[#k.into + 1] = kept
end

local function parking_take(p, name, id, token)
  local into = p.keys[name].into
  into[#into + 1] = p.time
  into[#into + 1] = id .. "\t" .. token
end

-- A parked job leaves for good; whether its going lets another one start is looked at.
local function parking_unpark(p, t, id, r)
  local k, member = parking_key(p, t.key), parking_member(t, id, r)
  p.gone[member] = true
  p.unparked[#p.unparked + 1] = member
  k.free = math.max(k.free, 1)
end

-- Of the parked jobs `members`, in order, those that are what they seem; strangers are taken out.
local function parking_read(p, members)
  local keys, ids, jobs = {}, {}, {}
  for i, member in ipairs(members) do
    ids[i] = string.match(member, "^[^\t]*\t[^\t]*\t([^\t]*)")
    keys[i] = p.base .. "job:" .. ids[i]
  end
  if #keys == 0 then return jobs end
  for i, text in ipairs(redis.call("MGET", unpack(keys))) do
    local member, r = members[i], text and record_parse(text)
    local t = r and r.state == "k" and terms_of(r)
    if not t or parking_member(t, ids[i], r) ~= member then
      p.unparked[#p.unparked + 1] = member
    elseif not p.gone[member] then
      jobs[#jobs + 1] = { id = ids[i], r = r, limit = tonumber(t.limit), member = member }
    end
  end
  return jobs
end

-- Gives a parked job a slot, if one is free. Nor would one that is released now be kept from starting by those behind it.
local function parking_grant(p, k, job)
  k.least = math.min(k.least or job.limit, job.limit)
  if k.held >= k.least then return false end
  job.released = true
  p.released[#p.released + 1] = job
  parking_keep(p, k, parking_kept(job.id, job.r))
  return true
end

-- The same for those that this call parks itself and that stand before a member, or for all: a slot may have become free
-- after one of them was looked at.
local function parking_grant_new(p, k, member)
  local new = k.parking
  while new[1] and (not member or new[1].member < member) do
    if not parking_grant(p, k, new[1]) then return false end
    table.remove(new, 1)
  end
  return true
end

-- Chooses the parked jobs that get the slots which are free now. The last of the reading.
local function parking_choose(p)
  for _, k in ipairs(p.list) do
    local after, going = nil, k.free > 0
    if going then table.sort(k.parking, function(one, other) return one.member < other.member end) end
    while going and p.heads > 0 do
      local members = parking_line(p, k, math.min(p.heads, k.free), after)
      p.heads, after = p.heads - #members, members[#members]
      for _, job in ipairs(parking_read(p, members)) do
        going = parking_grant_new(p, k, job.member) and parking_grant(p, k, job)
        if not going then break end
      end
      if #members == 0 then
        parking_grant_new(p, k)
        going = false
      end
    end
  end
end

-- The released jobs to the front of their bands: those of priority 0 in the order in which they are released, behind those
-- that were handed back. `token`: the last one granted, where the caller writes that; returned as it is then.
local function parking_release(p, records, token)
  local q, scored, new = p.q, {}, 0
  for _, job in ipairs(p.released) do
    if job.r.order == "" then new = new + 1 end
  end
  local last = token
  if new > 0 then last = token and token + new or redis.call("HINCRBY", q.stats, "token", new) end
  local order = (last or 0) - new
  for _, job in ipairs(p.released) do
    local r = job.r
    r.state = "w"
    if r.order == "" then
      order = order + 1
      r.order = whole(order)
    end
    scored[#scored + 1] = queue_score(r)
    scored[#scored + 1] = record_place(job.id, r)
    p.unparked[#p.unparked + 1] = job.member
    records[#records + 1] = p.base .. "job:" .. job.id
    records[#records + 1] = record_text(r)
  end
  queue_rank(q, scored)
  if #scored > 0 then queue_wake(q) end
  return last
end

-- Writes all of it; `token` as for `parking_release`, which is what it returns.
local function parking_write(p, token)
  local records, members = {}, {}
  token = parking_release(p, records, token)
  for _, job in ipairs(p.parking) do
    if not job.released then
      members[#members + 1] = "0"
      members[#members + 1] = job.member
      records[#records + 1] = p.base .. "job:" .. job.id
      records[#records + 1] = record_text(job.r)
    end
  end
  for _, k in ipairs(p.list) do
    zset_remove(k.holders, k.out)
    zset_add(k.holders, k.into)
  end
  parking_add(p, members, p.unparked)
  for from = 1, #records, at_once do
    redis.call("MSET", unpack(records, from, math.min(from + at_once - 1, #records)))
  end
  return token
end
