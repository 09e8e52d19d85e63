-- @include lane
-- @include settlement
-- @include claim
-- Settles runs that ended, then claims as many jobs as slots are free; settling nothing is a plain claim.
-- Each settlement: id, token, kind, duration, run, body. kind: completed (body: result), failed (body: message \n error),
-- retried (body: delay \n message \n error), cancelled (body: reason), released, progress (body: value; not an end, but
-- told before the outcome that follows it).
-- Replies { "settled", time, words, seq, due, more, reasons, id, record, id, record, data ... }: a letter for each settlement
-- (c f r x b p, or l: the lease was lost and nothing was changed), the last seq, when the next delayed job falls due,
-- "1" where jobs may be left, the reasons of those that became x, and the claimed jobs, each with its data behind its
-- record where that says so by flag b (of a repeated call: with an empty record where the job is no longer held). Where
-- jobs had expired that the claim came across, the first word is "expired", and before the claimed jobs stands a list
-- { id, record, id, record ... } of these, the records without data.
-- While the task is paused nothing is claimed. singleton "1": one job is, where nobody holds another one.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq", "token", "due", "ranked", "tombs", "requests", "started", "completed",
  "terms", "paused")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return claim_rare().again(q, a, now, answer) end

local token, tombs = tonumber(known[3] or 0), tonumber(known[6] or 0)
if a.rejoined == "1" or not known[3] then token = claim_rare().leap(a, known[3], now) end
local requests = known[7] and tonumber(known[7]) > 0
local want, keys = known[11] and 0 or tonumber(a.want), {}
local barred = known[11]
if a.singleton == "1" then want = math.min(want, 1) end
local items = settlement_read(a, ARGV, first, keys)
local found = claim_look(q, a, want, known[5] == "1", tombs, keys)
local texts = #keys > 0 and redis.call("MGET", unpack(keys)) or keys
settlement_hold(q, items, texts, requests)
local f = known[10] and flow().open(q, a, now, a.version)
if f then flow().settled(f, items) end
if a.singleton == "1" and not claim_rare().alone(q, items) then found, barred = nil, true end
if f and found then flow().look(f, found, want, texts) end
if found then claim_choose(a, want, found, keys, texts, f) end
if f then flow().choose(f) end

-- From here on it writes; first what a full server lets through.
settlement_leave(q, items, requests)
if found then claim_take(q, found) end

local bin = { gone = {}, expire = {} }
local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or 0))
local call = {
  now = now, time = whole(now), due = known[4] and tonumber(known[4]), inline = tonumber(a.inline), bin = bin, log = log,
  records = {}, kept = {}, reasons = {}, count = {}, completed = 0, f = f, keep = a.keepFailed,
}
local words = #items > 0 and settlement_write(q, a, items, call) or ""
local reply, ids, more, claimed = { "settled", now, words, 0, "", "", "" }, "", false, 0
if found then
  ids = claim_write(q, a, found, call, token, reply)
  more, claimed = found.more, #found.jobs
  if found.tombs > 0 then call.count.tombs = -math.min(found.tombs, tombs) end
end
local granted = token + claimed
if f then
  call.due, granted = flow().write(f, call.due, call, granted)
  -- Released jobs can be claimed at once.
  if found and #f.p.released > 0 then more = true end
end
if #call.records > 0 then redis.call("MSET", unpack(call.records)) end
events_flush(log)
if bin.gone[1] or bin.expire[1] then finish_sweep(bin) end
if not barred and (a.woken == "1" and (not found or found.more) or a.singleton == "1" and claimed == 0) and claim_left(q) then
  redis.call("ZADD", q.wake, 0, "w")
  more = true
end
if f and f.left_aside and a.woken == "1" then flow().beckon(f) end
for name, n in pairs(call.count) do redis.call("HINCRBY", q.stats, name, n) end

local last, told = whole(log.seq), table.concat(call.reasons, "\t")
more = more and "1" or ""
local expired, receipted
if f and #f.expired > 0 then expired, receipted = flow().told(f) end
local receipt = words .. "\n" .. last .. "\n" .. more .. "\n" .. whole(token) .. "\n" .. ids .. "\n" .. told .. (receipted or "")
redis.call("HSET", q.stats, lane, lane_receipt(a.n, call.time, receipt), "seq", last, "token", whole(granted),
  "started", whole((known[8] or 0) + claimed), "completed", whole((known[9] or 0) + call.completed))
reply[4], reply[5], reply[6], reply[7] = last, call.due and whole(call.due) or "", more, told
if expired then
  reply[1] = "expired"
  table.insert(reply, 8, expired)
end
return reply
