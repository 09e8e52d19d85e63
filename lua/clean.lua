-- @include lane
-- @include ended
-- Forgets jobs of one ended state that ended at least `age` ms ago, the oldest first, `limit` at the most.
-- Replies { "cleaned", time, count }: fewer than `limit` where no more are that old.
local lane = "lane:" .. a.lane
local verdict, answer = lane_check(redis.call("HMGET", q.stats, lane)[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "cleaned", now, tonumber(answer) } end

local key = a.state == "expired" and a.base .. "expired" or q[a.state]
local bin = { gone = {}, expire = {} }
-- Its first write, if it writes at all, is one that a full server lets through.
local count = ended_drop(q, key, bin, a.base, tonumber(a.limit), now - tonumber(a.age) + 1)
finish_sweep(bin)
if count == 0 then redis.call("ZREM", q.failed, "") end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), whole(count)))
return { "cleaned", now, count }
