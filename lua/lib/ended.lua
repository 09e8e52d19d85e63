-- @include failures
-- Ended jobs by their age, whichever kind of collection holds them: failed ones a set, all others a list (see `finish`).

-- The `n` oldest entries, the oldest first.
local function ended_oldest(q, key, n)
  if key == q.failed then return redis.call("ZRANGE", key, 0, n - 1) end
  local entries, turned = redis.call("LRANGE", key, -n, -1), {}
  for i = #entries, 1, -1 do turned[#turned + 1] = entries[i] end
  return turned
end

-- Takes the jobs that ended before `before` out of a collection, `look` at the most, and marks their keys for
-- finish_sweep. Returns how many.
local function ended_drop(q, key, bin, base, look, before)
  local old = {}
  for k, entry in ipairs(ended_oldest(q, key, look)) do
    local id, at, flags = string.match(entry, "^([^\t]*)\t(%d+)\t(.*)$")
    if id and tonumber(at) >= before then break end
    if id then finish_forget(bin, base, id, flags) end
    old[k] = entry
  end
  if #old == 0 then return 0 end
  if key == q.failed then
    redis.call("ZREM", key, unpack(old))
  else
    redis.call("RPOP", key, #old)
  end
  return #old
end
