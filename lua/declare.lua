-- Writes tasks into the registry before their first use. ARGV from `first` on: name, info (JSON) ... Replies { "declared" }.
for i = first, #ARGV, 2 do redis.call("HSET", q.tasks, ARGV[i], ARGV[i + 1]) end
return { "declared" }
