-- @include schedule
-- Stores a schedule as its caller made it (action "put"), or removes it ("drop"), where its version is still the one that the
-- caller knew ("" for none). definition "": it stays as it is. Whoever ticks is told on the channel.
-- Replies { word, time, state }: "written", "changed" (somebody else was first), or "open" (firings are yet to be dispatched,
-- which must not meet another definition).
local verdict, answer = schedule_heard(a)
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then
  local word, state = string.match(answer, "^(%w+) (.*)$")
  return { word, now, state }
end

local s = schedule_parse(redis.call("HGET", q.schedules, a.name))
local word = "written"
if (s and s.version or "") ~= a.version then
  word = "changed"
elseif s and s.open ~= "" then
  word = "open"
else
  -- A full server lets HDEL through, and then the rest: workers must be able to start on it.
  redis.call("HDEL", q.schedules, "")
  if a.action == "drop" then
    redis.call("HDEL", q.schedules, a.name)
    redis.call("HDEL", q.definitions, a.name)
    redis.call("ZREM", q.pending, a.name)
    s = nil
  else
    s = s or { slot = "", at = "", fired = "0", missed = "0", skipped = "0", open = "" }
    -- Of a schedule that was removed and made again nobody must take the new one for the old.
    s.version = whole(math.max(now, (s.version or 0) + 1))
    s.next, s.due, s.paused, s.anchor = a.next, a.due, a.paused, a.anchor
    redis.call("HSET", q.schedules, a.name, schedule_text(s))
    if a.definition ~= "" then redis.call("HSET", q.definitions, a.name, a.definition) end
  end
  redis.call("PUBLISH", a.channel, a.name)
end
local state = s and schedule_text(s) or ""
schedule_answered(a, now, word .. " " .. state)
return { word, now, state }
