-- @include lane
-- Pauses a task (paused "1"), or lets it go on: nothing of a paused task is claimed, and what is active goes on.
-- Replies { "changed" | "same", time }.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "paused")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { answer, now } end

answer = (known[2] or "0") == a.paused and "same" or "changed"
-- A full server lets HDEL through, and then the rest of the script.
redis.call("HDEL", q.stats, "paused")
if a.paused == "1" then
  redis.call("HSET", q.stats, "paused", "1")
elseif redis.call("LLEN", q.waiting) > 0 or redis.call("ZCARD", q.priority) > 0 then
  redis.call("ZADD", q.wake, 0, "w")
end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), answer))
return { answer, now }
