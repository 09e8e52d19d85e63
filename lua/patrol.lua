-- @include record
-- Names running workflows that somebody should look after, at most 20, and gives the caller `again` ms for it, or until it
-- expires.
-- Replies { time, next, id ... }: when the next one is due, empty where none runs.
local now = server_time()
local ids = redis.call("ZRANGE", q.active, "-inf", whole(now), "BYSCORE", "LIMIT", 0, 20)
local looks = {}
for k, id in ipairs(ids) do
  local text = redis.call("GET", a.base .. "job:" .. id)
  local r = text and record_parse(text)
  local expires, look = r and tonumber(r.eligible), now + a.again
  looks[k] = whole(expires and expires > now and math.min(look, expires) or look)
end
redis.call("ZREM", q.active, "")
for k, id in ipairs(ids) do redis.call("ZADD", q.active, "XX", looks[k], id) end
local soonest = redis.call("ZRANGE", q.active, 0, 0, "WITHSCORES")
local reply = { now, soonest[2] and whole(soonest[2]) or "" }
for k, id in ipairs(ids) do reply[2 + k] = id end
return reply
