-- Writes tasks into the registry before their first use. ARGV from `first` on: name, info (JSON) ... Replies { "declared" }.
-- A full server lets HDEL through, and then the rest of the script: workers must be able to start on it.
redis.call("HDEL", q.tasks, "")
redis.call("HSET", q.tasks, unpack(ARGV, first))
return { "declared" }
