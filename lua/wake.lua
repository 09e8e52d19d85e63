-- @include queue
-- Gives a taken wake marker back, where anything waits for it. Replies { "given" }.
if redis.call("LLEN", q.waiting) > 0 or redis.call("ZCARD", q.priority) > 0 or redis.call("ZCARD", q.delayed) > 0 then
  redis.call("ZREM", q.active, "")
  queue_wake(q)
end
return { "given" }
