-- @include time
-- Reads schedules, changing nothing: those named, or a page of all from `cursor` on ("" for none); and, where `overdue` is a
-- number, at most 20 of which a firing was taken longer ago than so many ms and is not known to be dispatched.
-- Replies { time, cursor, name, state, definition ... }: state "" where there is none; the cursor is "0" after the last page.
local now = server_time()
local names, cursor = {}, "0"
for i = first, #ARGV do names[#names + 1] = ARGV[i] end
if a.cursor ~= "" then
  local page = redis.call("HSCAN", q.schedules, a.cursor, "COUNT", 100)
  cursor = page[1]
  for i = 1, #page[2], 2 do names[#names + 1] = page[2][i] end
end
if a.overdue ~= "" then
  local late = redis.call("ZRANGE", q.pending, "-inf", whole(now - a.overdue), "BYSCORE", "LIMIT", 0, 20)
  for i = 1, #late do names[#names + 1] = late[i] end
end
local reply = { now, cursor }
if #names == 0 then return reply end
local states = redis.call("HMGET", q.schedules, unpack(names))
local definitions = redis.call("HMGET", q.definitions, unpack(names))
for k = 1, #names do
  reply[#reply + 1] = names[k]
  reply[#reply + 1] = states[k] or ""
  reply[#reply + 1] = definitions[k] or ""
end
return reply
