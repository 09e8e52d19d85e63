-- @include lane
-- @include record
-- Renews leases. Each run: id, token, run (the traceparent to keep with the job, once; else empty).
-- Replies { "renewed", time, words, reasons }: a letter for each run (o renewed, l lost, x renewed, but a cancel is
-- asked for, whose reason follows).
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "requests")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then
  local words, told = string.match(answer, "^(%a*)\n(.*)$")
  return { "renewed", now, words, told }
end

local members, ids, runs = {}, {}, {}
for i = first, #ARGV, 3 do
  ids[#ids + 1] = ARGV[i]
  members[#members + 1] = ARGV[i] .. "\t" .. ARGV[i + 1]
  runs[#runs + 1] = ARGV[i + 2]
end
local scores = redis.call("ZMSCORE", q.active, unpack(members))
local reasons = tonumber(known[2] or "0") > 0 and redis.call("HMGET", q.cancels, unpack(ids)) or {}
local words, told, scored, records = {}, {}, {}, {}
local deadline = whole(now + tonumber(a.lease))
for k, id in ipairs(ids) do
  if not scores[k] then
    words[k] = "l"
  else
    scored[#scored + 1] = deadline
    scored[#scored + 1] = members[k]
    words[k] = reasons[k] and "x" or "o"
    if reasons[k] then told[#told + 1] = reasons[k] end
    local text = runs[k] ~= "" and redis.call("GET", a.base .. "job:" .. id)
    local r = text and record_parse(text)
    if r then
      r.run = runs[k]
      records[#records + 1] = a.base .. "job:" .. id
      records[#records + 1] = record_text(r)
    end
  end
end
-- A full server lets ZREM through, and then the rest of the script.
redis.call("ZREM", q.active, "")
if #scored > 0 then redis.call("ZADD", q.active, "XX", unpack(scored)) end
if #records > 0 then redis.call("MSET", unpack(records)) end
answer = table.concat(words) .. "\n" .. table.concat(told, "\t")
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), answer))
return { "renewed", now, table.concat(words), table.concat(told, "\t") }
