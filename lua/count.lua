-- @include record
-- Counts a task's jobs and transitions, changing nothing. Cancelled jobs whose ids are still in the list don't count;
-- jobs that are due count as waiting, promoted or not.
-- Replies { time, waiting, delayed, active, parked, completed, failed, cancelled, expired, oldest, paused, epoch,
-- transitions ... } in the order of ARGV; paused: "1" while the task is.
local now = server_time()
local hints = redis.call("HMGET", q.stats, "tombs", "parked", "paused")
local tombs = tonumber(hints[1] or "0")
local due = redis.call("ZCOUNT", q.delayed, "-inf", whole(now))
local newer = redis.call("ZCARD", a.base .. "newer")
local waiting = math.max(redis.call("LLEN", q.waiting) - tombs, 0) + redis.call("ZCARD", q.priority) + newer + due
local delayed = redis.call("ZCARD", q.delayed) - due

local oldest
local function consider(place)
  local text = redis.call("GET", a.base .. "job:" .. string.match(place, "^[^\t]*"))
  local r = text and record_parse(text)
  if not r or not string.find("wdn", r.state, 1, true) then return false end
  local at = tonumber(record_eligible(r))
  if at and (not oldest or at < oldest) then oldest = at end
  return true
end

-- The head of the list: past what cancelled jobs left, if they are few.
for i = 1, 20 do
  local place = redis.call("LINDEX", q.waiting, -i)
  if not place or consider(place) then break end
end
local above = "-inf"
for _ = 1, 16 do
  local head = redis.call("ZRANGE", q.priority, above, "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES")
  if not head[1] then break end
  consider(head[1])
  above = whole((math.floor(tonumber(head[2]) / 4294967296) + 1) * 4294967296)
end
if newer > 0 then consider(redis.call("ZRANGE", a.base .. "newer", 0, 0)[1]) end
if due > 0 then
  local head = redis.call("ZRANGE", q.delayed, 0, 0)
  if head[1] then consider(head[1]) end
end

local names = { "epoch" }
for i = first, #ARGV do names[#names + 1] = ARGV[i] end
local values = redis.call("HMGET", q.stats, unpack(names))
local reply = {
  now, waiting, delayed, redis.call("ZCARD", q.active), tonumber(hints[2] or "0"), redis.call("LLEN", q.completed),
  redis.call("ZCARD", q.failed), redis.call("LLEN", q.cancelled), redis.call("LLEN", a.base .. "expired"),
  whole(oldest or 0), hints[3] or "", values[1] or "",
}
for k = 2, #names do reply[#reply + 1] = values[k] or "0" end
return reply
