-- @include schedule
-- Notes that firings were dispatched. Each item: name, n. Replies { "done", time, letters }: r noted by this call, n known
-- before (or the schedule is gone).
local verdict, answer = schedule_heard(a)
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "done", now, answer } end

local names = {}
for i = first, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local texts = redis.call("HMGET", q.schedules, unpack(names))
local known, letters, states, settled = {}, {}, {}, { "" }
for k = 1, #names do
  local name, n = names[k], ARGV[first + 2 * k - 1]
  local s = known[name] or schedule_parse(texts[k])
  known[name] = s
  letters[k] = "n"
  if s then
    local left = {}
    for firing in string.gmatch(s.open, "[^;]+") do
      if string.match(firing, "^%d+") == n then letters[k] = "r" else left[#left + 1] = firing end
    end
    s.open = table.concat(left, ";")
  end
end
for name, s in pairs(known) do
  states[#states + 1] = name
  states[#states + 1] = schedule_text(s)
  if s.open == "" then settled[#settled + 1] = name end
end
answer = table.concat(letters)
-- First what a full server lets through.
redis.call("ZREM", q.pending, unpack(settled))
if #states > 0 then redis.call("HSET", q.schedules, unpack(states)) end
schedule_answered(a, now, answer)
return { "done", now, answer }
