-- Lists ids of one collection, changing nothing, next ones first (ended jobs: newest first). `from`: how many to pass over.
-- Jobs are listed where they stand: one that is due is delayed here until it is promoted, and counts as waiting in `count`.
-- Replies { id ... }.
local places
local from, to = tonumber(a.from), tonumber(a.from) + tonumber(a.limit) - 1
if a.state == "waiting" then
  places = redis.call("ZRANGE", q.priority, from, to)
  local ranked = redis.call("ZCARD", q.priority)
  if #places < tonumber(a.limit) then
    local skip = math.max(from - ranked, 0)
    local rest = tonumber(a.limit) - #places
    local listed = redis.call("LRANGE", q.waiting, -(skip + rest), -(skip + 1))
    for i = #listed, 1, -1 do places[#places + 1] = listed[i] end
  end
elseif a.state == "delayed" then
  places = redis.call("ZRANGE", q.delayed, from, to)
elseif a.state == "active" then
  places = redis.call("ZRANGE", q.active, from, to)
else
  places = redis.call("LRANGE", q[a.state], from, to)
end
local ids = {}
for k, place in ipairs(places) do ids[k] = string.match(place, "^[^\t]*") end
return ids
