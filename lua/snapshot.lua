-- Where tasks' streams end, changing nothing. KEYS hold one group for each task.
-- Replies { id, seq, epoch, id, seq, epoch ... }: the last entry's id, the last transition's number, and the epoch of the
-- numbers of each task.
local reply = {}
for t = 1, groups do
  local q = group_keys(t)
  local last = redis.call("XREVRANGE", q.events, "+", "-", "COUNT", 1)
  local known = redis.call("HMGET", q.stats, "seq", "epoch")
  reply[#reply + 1] = last[1] and last[1][1] or "0-0"
  reply[#reply + 1] = known[1] or "0"
  reply[#reply + 1] = known[2] or ""
end
return reply
