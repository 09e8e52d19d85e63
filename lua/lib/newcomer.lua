-- @include fresh
-- New jobs that can run at once, as `enqueue` and `launch` store them.
local data_inline = 1024

-- A new job as a table. Its `body` is what its record ends with; data that is too long for that stands in `data`.
local function newcomer(base, id, body)
  local job = { id = id, key = base .. "job:" .. id, body = body }
  if #body > data_inline then
    local at = string.find(body, "\n", 1, true)
    if #body - at > data_inline then
      job.data, job.data_key = string.sub(body, at + 1), base .. "data:" .. id
      job.body = string.sub(body, 1, at) .. data_apart
    end
  end
  return job
end

-- Adds to `records`, the arguments of an MSET, what is written for a job whose record is `text`.
local function newcomer_record(records, job, text)
  local n = #records
  records[n + 1], records[n + 2] = job.key, text
  if job.data then records[n + 3], records[n + 4] = job.data_key, job.data end
end

-- The record of a plain job that waits.
local function newcomer_text(job, created)
  return (job.data and fresh_apart or fresh_head) .. created .. ",,,,,,,,\n\n" .. job.body
end
