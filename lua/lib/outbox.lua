-- What became of nodes of workflows (jobs with flag n), kept beside their jobs until their workflows, which live in other
-- slots, have heard of it. `outbox`: ids scored by when they ended; `outcomes`: by id, "letter run \n text".
-- letter: c completed (text: result), f failed (error, JSON), x cancelled (reason, JSON or empty), e expired.

local function outbox_put(q, a, id, letter, run, text, time)
  redis.call("ZADD", a.base .. "outbox", time, id)
  redis.call("HSET", a.base .. "outcomes", id, letter .. run .. "\n" .. text)
  redis.call("HSET", q.stats, "outbox", "1")
end

return { put = outbox_put }
