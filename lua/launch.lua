-- @include lane
-- @include newcomer
-- @include events
-- @lazy claim_rare
-- Stores one new, plain job at the back of the list. Where nothing waits before it (and the task is not paused), the caller gets it at once, taken and
-- leased as by a claim. asking "1": only answers what this very call has done before; if nothing, it never will.
-- Replies { "stored", time, seq, record }: no record where the job waits (or is not known), an empty one where a repeated
-- call finds it held no more.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "epoch", "dispatched", "ranked", "seq", "token", "started",
  "paused")
local verdict, answer = lane_check(known[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then
  local seq, token = string.match(answer, "^(%d+)\n(%d*)$")
  if token == "" then return { "stored", now, seq } end
  return { "stored", now, seq, (claim_rare().held(a, a.id, token)) }
end
local created = whole(now)
if a.asking == "1" then
  -- The original may be late rather than lost. From now on it stores nothing, for nobody waits for its answer any more.
  redis.call("HSET", q.stats, lane, lane_receipt(a.n, created, "0\n"))
  return { "stored", now, "0" }
end

local body, data = newcomer_body(a.body)
local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[5] or 0))
-- The first write is one that a full server refuses. An id in the list that had no record would be passed over by claims.
local place = redis.call("LPUSH", q.waiting, a.id)
local token, text, records = known[6] or "0", nil, {}
if a.rejoined == "1" or not known[6] then token = whole(claim_rare().leap(a, known[6], now)) end
local wrong
if place > 1 or known[4] == "1" or known[8] then
  newcomer_add(records, a.base, a.id, (data and fresh_apart or fresh_head) .. created .. ",,,,,,,,\n\n" .. body, data)
  newcomer_store(records)
  wrong = place == 1 and redis.pcall("ZADD", q.wake, 0, "w")
else
  token = whole(token + 1)
  text = "a," .. token .. ",1," .. created .. ",," .. a.attempts .. "," .. (data and "b" or "") .. ",\n\n" .. created
    .. ",,,,,,,,\n\n" .. body
  newcomer_add(records, a.base, a.id, text, data)
  newcomer_store(records)
  events_tell(log, "a" .. a.id .. "\t1\t" .. created .. "\t", 1)
  local member = a.id .. "\t" .. token
  wrong = redis.pcall("ZADD", q.active, whole(now + a.lease), member)
  if type(wrong) ~= "table" then
    local told
    told, wrong = pcall(events_flush, log)
    if not told then
      redis.call("ZREM", q.active, member)
      if type(wrong) ~= "table" then wrong = redis.error_reply("ERR " .. tostring(wrong)) end
    end
  end
  if type(wrong) ~= "table" then redis.call("RPOP", q.waiting) end
end
if type(wrong) == "table" then
  -- A key is of another type: the dispatch is refused, so nothing may be left of it.
  newcomer_undo(records)
  redis.call("LPOP", q.waiting)
  return wrong
end
local seq = whole(log.seq)
answer = seq .. "\n" .. (text and token or "")
if not known[2] then redis.call("HSETNX", q.stats, "epoch", a.lane .. "-" .. created) end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, created, answer), "dispatched", whole((known[3] or 0) + 1),
  "seq", seq, "token", token, "started", whole((known[7] or 0) + (text and 1 or 0)))
return { "stored", now, seq, text }
