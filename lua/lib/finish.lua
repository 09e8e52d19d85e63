-- Ended jobs. Each terminal state has a list of "id \t finished \t flags" in finish order, newest left, so that trimming
-- needs no record (failed jobs stand in a set: see `failures`). Flags say which keys the job has besides its record: b data,
-- p progress, l logs, r a long result; d says that its record was damaged, so it may have any of them; k, that it has terms; n,
-- that it is a node of a workflow; v, that it lives again after it failed.
local result_grace_ms = 60000
local trim_batch = 500

-- Marks a job's keys for finish_sweep. `bin`: { gone = {}, expire = {} }, gathered over a call.
local function finish_forget(bin, base, id, flags)
  local gone = bin.gone
  gone[#gone + 1] = base .. "job:" .. id
  if flags == "" then return end
  if string.find(flags, "[bd]") then gone[#gone + 1] = base .. "data:" .. id end
  if string.find(flags, "[pd]") then gone[#gone + 1] = base .. "progress:" .. id end
  if string.find(flags, "[ld]") then gone[#gone + 1] = base .. "logs:" .. id end
  if string.find(flags, "[rd]") then bin.expire[#bin.expire + 1] = base .. "result:" .. id end
end

-- Adds ended jobs to their list, and drops the oldest ones beyond `most`.
local function finish_keep(bin, base, list, entries, most)
  local extra = redis.call("LPUSH", list, unpack(entries)) - most
  if extra <= 0 then return end
  local old = redis.call("RPOP", list, math.min(extra, trim_batch))
  for k = 1, #old do
    local id, flags = string.match(old[k], "^([^\t]*)\t%d*\t(.*)$")
    if id then finish_forget(bin, base, id, flags) end
  end
end

local function finish_sweep(bin)
  local gone = bin.gone
  for from = 1, #gone, 1000 do
    redis.call("DEL", unpack(gone, from, math.min(from + 999, #gone)))
  end
  -- A long result outlives its job a little: somebody who waits for it may just be fetching it.
  for _, key in ipairs(bin.expire) do redis.call("PEXPIRE", key, result_grace_ms) end
end
