-- @include lane
-- @include record
-- Takes a workflow into the list of those that run, as a job that is active: in the tables of a task that nobody can
-- declare. `look`: ms until somebody shall look after it.
-- Replies { word, time }: enrolled.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "epoch")
local now = server_time()
local verdict = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
local key = a.base .. "job:" .. a.id
if verdict == "same" or redis.call("EXISTS", key) == 1 then return { "enrolled", now } end
local r = record_new(whole(now), "\n" .. a.name)
r.state, r.attempt, r.claimed, r.max = "a", "1", whole(now), "1"
-- When it expires, for `patrol`.
local look = now + a.look
if a.ttl ~= "" then
  r.eligible = whole(now + a.ttl)
  look = math.min(look, now + a.ttl)
end
redis.call("SET", key, record_text(r))
redis.call("ZADD", q.active, whole(look), a.id)
if not known[2] then redis.call("HSETNX", q.stats, "epoch", a.lane .. "-" .. whole(now)) end
redis.call("HINCRBY", q.stats, "started", 1)
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), ""))
return { "enrolled", now }
