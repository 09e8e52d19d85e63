-- @include fresh
-- New jobs, as `enqueue` and `launch` store them.
local data_inline = 1024

-- Splits what a job came with, headers \n data: what its record ends with, and the data where that is too long for it.
local function newcomer_body(body)
  if #body <= data_inline then return body end
  local at = string.find(body, "\n", 1, true)
  if #body - at <= data_inline then return body end
  return string.sub(body, 1, at) .. data_apart, string.sub(body, at + 1)
end

-- Adds to `records`, the arguments of an MSET, a job's record and its data where that lies apart.
local function newcomer_add(records, base, id, text, data)
  local n = #records
  records[n + 1], records[n + 2] = base .. "job:" .. id, text
  if data then records[n + 3], records[n + 4] = base .. "data:" .. id, data end
end

-- Writes such arguments. A command takes 1,000 of them at the most, where each job may bring four.
local function newcomer_store(records)
  for from = 1, #records, 1000 do
    redis.call("MSET", unpack(records, from, math.min(from + 999, #records)))
  end
end

-- Takes back new jobs, which nobody can have seen, because a key that they need is of another type.
local function newcomer_undo(records)
  for k = 1, #records, 2 do redis.call("DEL", records[k]) end
end
