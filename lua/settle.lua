-- @include lane
-- @include settlement
-- @include claim
-- Settles runs that ended, then claims as many jobs as slots are free; settling nothing is a plain claim.
-- Each settlement: id, token, kind, duration, run, body. kind: completed (body: result), failed (body: message \n error),
-- retried (body: delay \n message \n error), cancelled (body: reason), released, progress (body: value; not an end, but
-- told before the outcome that follows it).
-- Replies { "settled", time, words, seq, due, more, reasons, id, record, id, record ... }: a letter for each settlement
-- (c f r x b p, or l: the lease was lost and nothing was changed), the last seq, when the next delayed job falls due,
-- "1" where jobs may be left, the reasons of those that a request turned into x, and the claimed jobs.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq", "token", "due", "ranked", "tombs", "requests")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return claim_again(q, a, now, answer) end

local seq, token, tombs = tonumber(known[2] or "0"), tonumber(known[3] or "0"), tonumber(known[6] or "0")
local items = settlement_read(q, a, ARGV, first, tonumber(known[7] or "0") > 0)
local found = claim_find(q, a, tonumber(a.want), known[5] == "1", tombs)

-- From here on it writes; first what a full server lets through.
if not settlement_leave(q, items) then redis.call("ZREM", q.active, "") end
claim_take(q, found)

local call = {
  now = now, time = whole(now), due = tonumber(known[4] or ""), records = {}, count = {}, bin = finish_begin(),
  log = events_begin(q, a.instance, a.maxlen, seq),
}
local words, reasons, due = settlement_write(q, a, items, call)
local claimed = claim_write(q, a, found, call, token)
if #call.records > 0 then redis.call("MSET", unpack(call.records)) end
events_flush(call.log)
finish_sweep(call.bin)

local more = found.more
if a.woken == "1" and claim_left(q) then
  queue_wake(q)
  more = true
end
more = more and "1" or ""
if found.tombs > 0 then call.count.tombs = -math.min(found.tombs, tombs) end
for name, n in pairs(call.count) do redis.call("HINCRBY", q.stats, name, n) end
local last, told, ids = whole(call.log.seq), table.concat(reasons, "\t"), {}
for i = 1, #claimed, 2 do ids[#ids + 1] = claimed[i] end
local receipt = words .. "\n" .. last .. "\n" .. more .. "\n" .. whole(token) .. "\n" .. table.concat(ids, "\t") .. "\n" .. told
redis.call("HSET", q.stats, lane, lane_receipt(a.n, now, receipt), "seq", last, "token", whole(token + #ids))

local reply = { "settled", now, words, last, due and whole(due) or "", more, told }
for i = 1, #claimed do reply[7 + i] = claimed[i] end
return reply
