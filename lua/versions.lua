-- @include record
-- @include terms
-- Counts the versions of a page of the jobs that stand in one collection, changing nothing. `from`: how many to pass over.
-- Replies { next, version, count, version, count ... }; next: where the following page begins, empty behind the last one.
local page = 100
local lists = { waiting = "w", completed = "c", cancelled = "x", expired = "e" }
local sorted = { priority = "w", newer = "n", parked = "k", delayed = "d", active = "a", failed = "f" }
local from = tonumber(a.from)
local key, to = a.base .. a.collection, from + page - 1
local places = lists[a.collection] and redis.call("LRANGE", key, from, to) or redis.call("ZRANGE", key, from, to)
if #places == 0 then return { "" } end

local keys = {}
for k, place in ipairs(places) do
  local id = string.match(place, a.collection == "parked" and "^[^\t]*\t[^\t]*\t([^\t]*)" or "^[^\t]*")
  keys[k] = a.base .. "job:" .. (id or "")
end
local counts, state = {}, lists[a.collection] or sorted[a.collection]
for _, text in ipairs(redis.call("MGET", unpack(keys))) do
  local r = text and record_parse(text)
  -- What a cancelled job left in the list is no job.
  if r and r.state == state then
    local version = terms_of(r).version
    if version == "" then version = "1" end
    counts[version] = (counts[version] or 0) + 1
  end
end
local reply = { #places == page and whole(from + page) or "" }
for version, count in pairs(counts) do
  reply[#reply + 1] = version
  reply[#reply + 1] = whole(count)
end
return reply
