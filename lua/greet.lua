-- The wire version of this prefix: written by whoever comes first, read by all. Replies { version }.
local wire = redis.call("HGET", q.meta, "wire")
if not wire then
  -- A full server lets HDEL through, and then the rest of the script: workers must be able to start on it.
  redis.call("HDEL", q.meta, "")
  redis.call("HSET", q.meta, "wire", a.wire)
  wire = a.wire
end
return { wire }
