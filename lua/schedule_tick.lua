-- @include schedule
-- Takes the firings that are due, and stores which slot comes next, as the caller found both. Nothing is taken of a schedule
-- that is not as the caller knew it. Each item: name, version, next (as known), following, its due time, slots to fire
-- ("slot+slot", or ""), how many slots were missed, how many skipped, and "1" where firings may overlap.
-- Replies { "ticked", time, answers }: a line "word state" for each item: taken, changed, early, open (earlier firings are
-- yet to be dispatched), gone.
local verdict, answer = schedule_heard(a)
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "ticked", now, answer } end

local stride, names = 9, {}
for i = first, #ARGV, stride do names[#names + 1] = ARGV[i] end
local texts = redis.call("HMGET", q.schedules, unpack(names))
local lines, states, pending = {}, {}, {}
for k = 1, #names do
  local i = first + (k - 1) * stride
  local s = schedule_parse(texts[k])
  local slots = ARGV[i + 5]
  local word = "taken"
  if not s then
    word = "gone"
  elseif s.version ~= ARGV[i + 1] or s.next ~= ARGV[i + 2] or s.next == "" or s.paused == "1" then
    word = "changed"
  elseif tonumber(s.due) > now then
    word = "early"
  elseif slots ~= "" and ARGV[i + 8] ~= "1" and s.open ~= "" then
    word = "open"
  else
    if slots ~= "" then
      local last, _, count = string.match(slots, "%d+$"), string.gsub(slots, "%d+", "")
      local taken = last .. ":" .. whole(now) .. ":" .. s.due .. ":" .. slots
      s.open = s.open == "" and taken or s.open .. ";" .. taken
      s.slot, s.at, s.fired = last, whole(now), whole(s.fired + count)
      pending[#pending + 1] = whole(now)
      pending[#pending + 1] = names[k]
    end
    s.next, s.due = ARGV[i + 3], ARGV[i + 4]
    s.missed, s.skipped = whole(s.missed + ARGV[i + 6]), whole(s.skipped + ARGV[i + 7])
    states[#states + 1] = names[k]
    states[#states + 1] = schedule_text(s)
  end
  lines[k] = word .. " " .. (s and schedule_text(s) or "")
end
answer = table.concat(lines, "\n")
-- A full server refuses the first of these, and the dispatch that would follow too: the slots stay due.
if #states > 0 then redis.call("HSET", q.schedules, unpack(states)) end
if #pending > 0 then redis.call("ZADD", q.pending, unpack(pending)) end
schedule_answered(a, now, answer)
return { "ticked", now, answer }
