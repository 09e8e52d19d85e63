-- @include finish
-- Failed jobs stand in a sorted set instead of a list, because they can be taken out of its middle: retried or discarded.
-- The members are the same entries, "id \t finished \t flags"; the score is the seq of the failure, so they stand in the
-- order in which they failed, the oldest first.
-- When a run that ends now has finished: not before it began, should the clock have gone back, for so its record says it
-- (see `record`), and an entry that says otherwise is found no more.
local function failures_time(r, now)
  return whole(math.max(now, tonumber(r.claimed) or 0))
end

local function failures_entry(id, r)
  return id .. "\t" .. r.finished .. "\t" .. r.flags
end

-- Adds failed jobs, given as score, entry, score, entry ..., and drops the oldest ones beyond `most`.
local function failures_keep(bin, base, set, scored, most)
  redis.call("ZADD", set, unpack(scored))
  local extra = redis.call("ZCARD", set) - most
  if extra <= 0 then return end
  local old = redis.call("ZRANGE", set, 0, math.min(extra, trim_batch) - 1)
  redis.call("ZREM", set, unpack(old))
  for k = 1, #old do
    local id, flags = string.match(old[k], "^([^\t]*)\t%d*\t(.*)$")
    if id then finish_forget(bin, base, id, flags) end
  end
end
