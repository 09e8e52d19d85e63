-- @include record
-- What `cancel` needs for a record that cannot be read: it says nothing, so the job's place must.
local look = 1000

-- A stand-in for the record of a job that is among the first of a collection, with its state and place; nil where it is
-- not, or has ended. A job further back is found later: looking for it would cost the collection's length.
local function found(q, a, now)
  local function among(places, state)
    for _, place in ipairs(places) do
      local id, rest = string.match(place, "^([^\t]*)\t?(.*)$")
      if id == a.id then
        local r = record_damaged()
        r.state, r.created = state, whole(now)
        if state == "a" then r.token = rest else r.nonce = rest end
        return r
      end
    end
  end
  return among(redis.call("ZRANGE", q.active, 0, look - 1), "a")
    or among(redis.call("ZRANGE", q.delayed, 0, look - 1), "d")
    or among(redis.call("ZRANGE", q.priority, 0, look - 1), "w")
    or among(redis.call("LRANGE", q.waiting, -look, -1), "w")
end

return { found = found }
