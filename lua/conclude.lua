-- @include lane
-- @include record
-- @include events
-- @include failures
-- Ends a workflow in the list of those that run, once, and tells the event. state: c, f, x, or g where nothing is left of
-- it. text: what the event carries: "=result" or "~" where that is too long, message, reason (JSON).
-- Replies { word, time, seq, duration }: concluded where this very call did it, else known.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then
  local word, seq, took = string.match(answer, "^(%a+)\n(%d+)\n(%d*)$")
  return { word, now, seq, took }
end
local key = a.base .. "job:" .. a.id
local text = redis.call("GET", key)
local r = text and record_parse(text)
local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or "0"))
redis.call("ZREM", q.active, a.id)
local word, took = "known", "0"
if r and r.state == "a" then
  word, took = "concluded", whole(math.max(0, now - r.created))
  if a.state == "g" then
    redis.call("DEL", key)
  else
    local bin = { gone = {}, expire = {} }
    r.state, r.finished, r.outcome = a.state, whole(now), a.state == "c" and "" or a.outcome
    redis.call("SET", key, record_text(r))
    local name = string.match(r.body, "\n(.*)$")
    events_tell(log, "w" .. a.id .. "\t" .. a.state .. "\t" .. name .. "\t" .. took .. "\t" .. a.text, 1)
    events_flush(log)
    local entry = a.id .. "\t" .. r.finished .. "\t" .. r.flags
    if a.state == "f" then
      failures_keep(bin, a.base, q.failed, { whole(log.seq), entry }, tonumber(a.keep))
    else
      finish_keep(bin, a.base, a.state == "c" and q.completed or q.cancelled, { entry }, tonumber(a.keep))
    end
    finish_sweep(bin)
    local counter = a.state == "c" and "completed" or a.state == "f" and "failed" or "cancelled_active"
    redis.call("HINCRBY", q.stats, counter, 1)
    redis.call("HSET", q.stats, "seq", whole(log.seq))
  end
end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), word .. "\n" .. whole(log.seq) .. "\n" .. took))
return { word, now, whole(log.seq), took }
