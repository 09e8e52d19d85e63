-- @include record
-- Failed jobs and why they failed, changing nothing. way: "oldest" or "newest" first; after: the seq of the failure to go
-- on behind, or empty. Looks at `limit` records, and stops where it has read 1 MiB of them.
-- Replies { seq, id, finished, outcome ... }; the outcome is empty where the record is gone or damaged.
local most, reply = tonumber(a.limit), {}
local behind = a.after == "" and "" or "(" .. a.after
local found
if a.way == "oldest" then
  found = redis.call("ZRANGE", q.failed, behind == "" and "-inf" or behind, "+inf", "BYSCORE", "LIMIT", 0, most, "WITHSCORES")
else
  found = redis.call("ZRANGE", q.failed, behind == "" and "+inf" or behind, "-inf", "BYSCORE", "REV", "LIMIT", 0, most, "WITHSCORES")
end
local bytes = 0
for i = 1, #found, 2 do
  local id, finished = string.match(found[i], "^([^\t]*)\t(%d+)")
  local text = id and redis.call("MGET", a.base .. "job:" .. id)[1]
  local r = text and record_parse(text)
  bytes = bytes + (text and #text or 0)
  for _, value in ipairs({ found[i + 1], id or "", finished or "0", r and r.state == "f" and r.outcome or "" }) do
    reply[#reply + 1] = value
  end
  if bytes > 1048576 then break end
end
return reply
