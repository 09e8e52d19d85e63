-- @include time
-- Stores one part of a workflow's graph; parts come in order, and the last one lets it run. A repeated part changes nothing.
-- Each node: its number, "need|dependents" (how many nodes it waits for; which wait for it, as "from-to,from-to"), and what
-- is to be dispatched: task \n shape of its input \n options \n data. Until the first `advance` all of it expires by itself.
-- result: the shape of what it gives. Replies the word "planned".
local known = redis.call("HMGET", q.head, "parts", "state")
local now = server_time()
if tonumber(known[1] or "0") ~= tonumber(a.part) or known[2] and known[2] ~= "planned" then return "planned" end
redis.call("HSET", q.head, "state", a.last == "1" and "running" or "planned", "parts", whole(a.part + 1), "total", a.total,
  "name", a.name, "created", whole(now), "expires", a.ttl == "" and "" or whole(now + a.ttl), "headers", a.headers, "result", a.result,
  "done", "0")
local roots = {}
for i = first, #ARGV, 3 do
  redis.call("HSET", q.edges, ARGV[i], ARGV[i + 1])
  redis.call("HSET", q.nodes, ARGV[i], ARGV[i + 2])
  if string.sub(ARGV[i + 1], 1, 2) == "0|" then roots[#roots + 1] = ARGV[i] end
end
if #roots > 0 then redis.call("RPUSH", q.ready, unpack(roots)) end
for _, key in ipairs({ q.head, q.edges, q.nodes, q.ready }) do redis.call("PEXPIRE", key, 3600000) end
return "planned"
