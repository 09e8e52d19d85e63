-- Where tasks' streams end, changing nothing. KEYS hold one group for each task.
-- Replies { id, seq, id, seq ... }: the last entry's id and the last transition's number of each.
local reply = {}
for t = 1, groups do
  local q = group_keys(t)
  local last = redis.call("XREVRANGE", q.events, "+", "-", "COUNT", 1)
  reply[2 * t - 1] = last[1] and last[1][1] or "0-0"
  reply[2 * t] = redis.call("HGET", q.stats, "seq") or "0"
end
return reply
