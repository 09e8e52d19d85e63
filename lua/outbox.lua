-- Reads what became of nodes of workflows, changing nothing: of those ids that are given, or, where none is, of those that
-- ended before `before` (ms), the oldest first. At most 100, and no more once they come to 1 MiB.
-- Replies { id, outcome, id, outcome ... }.
if not redis.call("HGET", q.stats, "outbox") then return {} end
local ids = {}
for i = first, #ARGV do ids[#ids + 1] = ARGV[i] end
if #ids == 0 then
  ids = redis.call("ZRANGE", a.base .. "outbox", "-inf", a.before, "BYSCORE", "LIMIT", 0, 100)
end
local reply, bytes = {}, 0
for k = 1, math.min(#ids, 100) do
  if bytes > 1048576 then break end
  local outcome = redis.call("HGET", a.base .. "outcomes", ids[k])
  if outcome then
    reply[#reply + 1], reply[#reply + 2] = ids[k], outcome
    bytes = bytes + #outcome
  end
end
return reply
