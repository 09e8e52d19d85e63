-- The wire version of this prefix, changing nothing. Replies { version }, "" where nobody has written yet.
return { redis.call("HGET", q.meta, "wire") or "" }
