-- Forgets what became of nodes whose workflows have heard of it, or, where keep is "1", only bars nodes that shall not run:
-- for a minute each leaves a mark, so that a dispatch of the same node that is still on its way stores nothing. Repeating
-- it changes nothing.
-- Replies the word "delivered".
local outbox, outcomes = a.base .. "outbox", a.base .. "outcomes"
redis.call("ZREM", outbox, "")
for i = first, #ARGV do
  if a.keep ~= "1" then
    redis.call("ZREM", outbox, ARGV[i])
    redis.call("HDEL", outcomes, ARGV[i])
  end
  redis.call("SET", a.base .. "node:" .. ARGV[i], "", "PX", 60000)
end
if redis.call("ZCARD", outbox) == 0 then redis.call("HDEL", q.stats, "outbox") end
return "delivered"
