-- Where a task's stream ends, changing nothing. Replies { last entry id, seq }.
local last = redis.call("XREVRANGE", q.events, "+", "-", "COUNT", 1)
local id = last[1] and last[1][1] or "0-0"
return { id, redis.call("HGET", q.stats, "seq") or "0" }
