-- What became of nodes of workflows (jobs with flag n), kept beside their jobs until their workflows, which live in other
-- slots, have heard of it. `outbox`: ids scored by when they ended; `outcomes`: by id, "letter run \n text".
-- letter: c completed (text: result), f failed (error, JSON), x cancelled (reason, JSON or empty), e expired.

local function put(base, time, job)
  -- A damaged record does not say whether its job is one; the shape of its id does.
  if not string.find(job.id, "^%w+:%d+$") then return end
  redis.call("ZADD", base .. "outbox", time, job.id)
  redis.call("HSET", base .. "outcomes", job.id, job.letter .. job.run .. "\n" .. job.text)
  redis.call("HSET", base .. "stats", "outbox", "1")
end

return { put = put }
