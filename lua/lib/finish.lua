-- @include record
-- Ended jobs. Each terminal state has a list of "id \t finished \t flags" in finish order, newest left, so that trimming
-- needs no record. Flags say which keys the job has besides its record: p progress, l logs, r a long result.
local result_grace_ms = 60000
local trim_batch = 500

-- Keys to delete and results to let expire, gathered over a call.
local function finish_begin()
  return { gone = {}, expire = {} }
end

local function finish_forget(bin, base, id, flags)
  local gone = bin.gone
  gone[#gone + 1] = base .. "job:" .. id
  if flags == "" then return end
  if string.find(flags, "p", 1, true) then gone[#gone + 1] = base .. "progress:" .. id end
  if string.find(flags, "l", 1, true) then gone[#gone + 1] = base .. "logs:" .. id end
  if string.find(flags, "r", 1, true) then bin.expire[#bin.expire + 1] = base .. "result:" .. id end
end

local function finish_entry(id, finished, flags)
  return id .. "\t" .. finished .. "\t" .. flags
end

-- Drops what is more than `most` in a list of `length`.
local function finish_trim(bin, base, list, length, most)
  local extra = length - most
  if extra <= 0 then return end
  local old = redis.call("RPOP", list, math.min(extra, trim_batch))
  if not old then return end
  for _, entry in ipairs(old) do
    local id, flags = string.match(entry, "^([^\t]*)\t[^\t]*\t(.*)$")
    if id then finish_forget(bin, base, id, flags) end
  end
end

-- Adds ended jobs to their list, trims it, and says how many it took.
local function finish_keep(bin, base, list, entries, most)
  if #entries == 0 then return end
  finish_trim(bin, base, list, redis.call("LPUSH", list, unpack(entries)), most)
end

local function finish_sweep(bin)
  local gone = bin.gone
  local from = 1
  while from <= #gone do
    redis.call("DEL", unpack(gone, from, math.min(from + 999, #gone)))
    from = from + 1000
  end
  -- A long result outlives its job a little: somebody who waits for it may just be fetching it.
  for _, key in ipairs(bin.expire) do redis.call("PEXPIRE", key, result_grace_ms) end
end
