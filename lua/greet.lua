-- The wire version of this prefix: written by whoever comes first, read by all. Replies { version }.
redis.call("HSETNX", q.meta, "wire", a.wire)
return { redis.call("HGET", q.meta, "wire") }
