-- @include fresh
-- @include time
-- Reads one job, changing nothing. parts: letters of what is wanted (r long result, p progress, l log, s the
-- seq up to which the record tells what happened).
-- Replies { time, record, result, progress, seq, log line ... }; an empty record means there is no such job.
local text = redis.call("GET", a.base .. "job:" .. a.id) or ""
if string.sub(text, -2) == "\n" .. data_apart then
  text = string.sub(text, 1, -2) .. (redis.call("MGET", a.base .. "data:" .. a.id)[1] or data_apart)
end
local result, progress, seq, log = "", "", "", {}
if string.find(a.parts, "r", 1, true) then result = redis.call("GET", a.base .. "result:" .. a.id) or "" end
if string.find(a.parts, "p", 1, true) then progress = redis.call("GET", a.base .. "progress:" .. a.id) or "" end
if string.find(a.parts, "l", 1, true) then log = redis.call("LRANGE", a.base .. "logs:" .. a.id, 1, -1) end
if string.find(a.parts, "s", 1, true) then seq = redis.call("HGET", q.stats, "seq") or "" end
return { server_time(), text, result, progress, seq, unpack(log) }
