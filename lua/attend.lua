-- @include time
-- Registers a worker process for `ttl` ms, and drops those whose time ran out without a goodbye, counting them.
-- Replies { time, info ... } of all that live.
local now = server_time()
local gone = redis.call("ZRANGE", q.workers, "-inf", "(" .. whole(now), "BYSCORE", "LIMIT", 0, 100)
redis.call("ZREM", q.workers, "")
if #gone > 0 then
  redis.call("ZREM", q.workers, unpack(gone))
  redis.call("HDEL", q.workerInfo, unpack(gone))
  redis.call("HINCRBY", q.meta, "workersLost", #gone)
end
if a.instance ~= "" then
  if a.ttl == "0" then
    redis.call("ZREM", q.workers, a.instance)
    redis.call("HDEL", q.workerInfo, a.instance)
  else
    redis.call("ZADD", q.workers, whole(now + tonumber(a.ttl)), a.instance)
    redis.call("HSET", q.workerInfo, a.instance, a.info)
  end
end
local live = redis.call("ZRANGE", q.workers, 0, 999)
local reply = { now }
if #live == 0 then return reply end
for _, info in ipairs(redis.call("HMGET", q.workerInfo, unpack(live))) do
  if info then reply[#reply + 1] = info end
end
return reply
