-- @include lane
-- @include queue
-- @include events
-- @include finish
-- @lazy cancel_rare
-- @lazy flow
-- @lazy outbox
-- Cancels a job. Waiting ones (also parked ones) and delayed ones end at once; of an active one the request is recorded and
-- published, and its settlement becomes cancelled whatever it says. A waiting job of the list leaves its id there: taking it
-- out of the middle would cost the list's length.
-- Replies { word, time, state, record }: cancelled | requested | finished | unknown; state: waiting, delayed or active
-- where this call did something, else empty; the record as it was.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq", "due")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then
  local word, state, text = string.match(answer, "^(%a+)\n(%a*)\n(.*)$")
  return { word, now, state, text }
end

local key = a.base .. "job:" .. a.id
local text = redis.call("GET", key)
local r = text and (record_parse(text) or cancel_rare().found(q, a, now))
local word, state = "unknown", ""
if not r then
  redis.call("ZREM", q.active, "")
elseif r.state == "c" or r.state == "f" or r.state == "e" then
  redis.call("ZREM", q.active, "")
  word = "finished"
elseif r.state == "x" then
  redis.call("ZREM", q.active, "")
  word = "cancelled"
elseif r.state == "a" then
  word, state = "requested", "active"
  -- A full server lets ZREM through, and then the rest of the script; so below.
  redis.call("ZREM", q.active, "")
  if redis.call("HSETNX", q.cancels, a.id, a.reason) == 1 then redis.call("HINCRBY", q.stats, "requests", 1) end
  redis.call("PUBLISH", a.channel, a.id .. "\t" .. r.token .. "\t" .. a.reason)
else
  local place = record_place(a.id, r)
  local f = r.terms ~= "" and flow().open(q, a, now)
  if f then
    flow().left(f, a.id, r, "ended")
    flow().choose(f)
  end
  word, state = "cancelled", r.state == "d" and "delayed" or "waiting"
  if state == "delayed" then
    redis.call("ZREM", q.delayed, place)
  elseif r.state == "n" then
    redis.call("ZREM", a.base .. "newer", place)
  elseif r.state == "w" and redis.call("ZREM", q.priority, place) == 0 then
    redis.call("HINCRBY", q.stats, "tombs", 1)
  end
  local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or "0"))
  r.state, r.finished, r.outcome = "x", whole(now), a.reason
  if string.find(r.flags, "[nd]") then
    outbox().put(a.base, r.finished, { id = a.id, letter = "x", run = "", text = a.reason })
  end
  local bin = { gone = {}, expire = {} }
  if a.keepFailed == "0" then
    finish_forget(bin, a.base, a.id, r.flags)
  else
    redis.call("SET", key, record_text(r))
    finish_keep(bin, a.base, q.cancelled, { a.id .. "\t" .. r.finished .. "\t" .. r.flags }, tonumber(a.keepFailed))
  end
  if f then flow().write(f, tonumber(known[3] or "")) end
  finish_sweep(bin)
  events_tell(log, "x" .. a.id .. "\t" .. a.reason, 1)
  events_flush(log)
  redis.call("HINCRBY", q.stats, "cancelled_" .. state, 1)
  redis.call("HSET", q.stats, "seq", whole(log.seq))
end
-- The record's headers are all that the caller needs of it, and its data may be long.
local head = text and state ~= "" and record_head(text) or ""
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), word .. "\n" .. state .. "\n" .. head))
return { word, now, state, head }
