-- Reads one job, changing nothing. parts: letters of what is wanted (r long result, p progress, l log).
-- Replies { record, result, progress, log line ... }; an empty record means there is no such job.
local text = redis.call("GET", a.base .. "job:" .. a.id) or ""
local result, progress, log = "", "", {}
if string.find(a.parts, "r", 1, true) then result = redis.call("GET", a.base .. "result:" .. a.id) or "" end
if string.find(a.parts, "p", 1, true) then progress = redis.call("GET", a.base .. "progress:" .. a.id) or "" end
if string.find(a.parts, "l", 1, true) then log = redis.call("LRANGE", a.base .. "logs:" .. a.id, 1, -1) end
return { text, result, progress, unpack(log) }
