-- @include time
-- Names running workflows that somebody should look after, at most 20, and gives the caller `again` ms for it. Trims the
-- lists of ended ones by age.
-- Replies { time, next, id ... }: when the next one is due, empty where none runs.
local now = server_time()
local ids = redis.call("ZRANGE", q.active, "-inf", whole(now), "BYSCORE", "LIMIT", 0, 20)
for _, id in ipairs(ids) do redis.call("ZADD", q.active, "XX", whole(now + a.again), id) end
local soonest = redis.call("ZRANGE", q.active, 0, 0, "WITHSCORES")
local reply = { now, soonest[2] and whole(soonest[2]) or "" }
for k, id in ipairs(ids) do reply[2 + k] = id end
return reply
