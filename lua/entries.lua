-- Entries of a task's stream between two ids, changing nothing. Replies { id, text, id, text ... }.
local entries = redis.call("XRANGE", q.events, a.from, "+", "COUNT", a.limit)
local reply = {}
for _, entry in ipairs(entries) do
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = entry[2][2]
end
return reply
