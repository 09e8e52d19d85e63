-- @include time
-- The tasks in the registry and the worker processes that live, changing nothing.
-- Replies { time, count of tasks, name, info, ..., worker info ... }.
local now = server_time()
local tasks = redis.call("HGETALL", q.tasks)
local reply = { now, #tasks / 2 }
for _, value in ipairs(tasks) do reply[#reply + 1] = value end
local live = redis.call("ZRANGE", q.workers, whole(now), "+inf", "BYSCORE", "LIMIT", 0, 1000)
if #live == 0 then return reply end
for _, info in ipairs(redis.call("HMGET", q.workerInfo, unpack(live))) do
  if info then reply[#reply + 1] = info end
end
return reply
