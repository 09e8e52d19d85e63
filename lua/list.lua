-- @include time
-- Lists ids of one collection, changing nothing, next ones first (ended jobs: newest first). `from`: how many to pass over.
-- As in `count`, jobs that are due wait, promoted or not: behind all others but those of a version that none took yet.
-- Replies { id ... }.
local now = server_time()
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
  local short = tonumber(a.limit) - #places
  if short > 0 then
    local skip = math.max(from - ranked - redis.call("LLEN", q.waiting), 0)
    local due = redis.call("ZRANGE", q.delayed, "-inf", whole(now), "BYSCORE", "LIMIT", skip, short)
    for _, place in ipairs(due) do places[#places + 1] = place end
  end
  short = tonumber(a.limit) - #places
  if short > 0 then
    local before = ranked + redis.call("LLEN", q.waiting) + redis.call("ZCOUNT", q.delayed, "-inf", whole(now))
    local skip = math.max(from - before, 0)
    local newer = redis.call("ZRANGE", a.base .. "newer", skip, skip + short - 1)
    for _, place in ipairs(newer) do places[#places + 1] = place end
  end
elseif a.state == "delayed" then
  places = redis.call("ZRANGE", q.delayed, "(" .. whole(now), "+inf", "BYSCORE", "LIMIT", from, a.limit)
elseif a.state == "parked" then
  places = redis.call("ZRANGE", a.base .. "parked", from, to)
  -- Their key and their rank stand before the place.
  for k, member in ipairs(places) do places[k] = string.match(member, "^[^\t]*\t[^\t]*\t(.*)$") end
elseif a.state == "expired" then
  places = redis.call("LRANGE", a.base .. "expired", from, to)
elseif a.state == "active" then
  places = redis.call("ZRANGE", q.active, from, to)
elseif a.state == "failed" then
  places = redis.call("ZRANGE", q.failed, from, to, "REV")
else
  places = redis.call("LRANGE", q[a.state], from, to)
end
local ids = {}
for k, place in ipairs(places) do ids[k] = string.match(place, "^[^\t]*") end
return ids
