-- @include lane
-- @include record
-- @include events
-- Tells progress of runs. Each: id, token, first (1 on a run's first report), value (JSON).
-- Replies { "told", time, words }: a letter for each (o, or l: the lease was lost and nothing was changed).
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "told", now, answer } end

local members = {}
for i = first, #ARGV, 4 do members[#members + 1] = ARGV[i] .. "\t" .. ARGV[i + 1] end
local scores = redis.call("ZMSCORE", q.active, unpack(members))
local words, writes = {}, {}
local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or "0"))
for k = 1, #members do
  local at = first + (k - 1) * 4
  local id, value = ARGV[at], ARGV[at + 3]
  words[k] = scores[k] and "o" or "l"
  if scores[k] then
    writes[#writes + 1] = a.base .. "progress:" .. id
    writes[#writes + 1] = value
    local text = ARGV[at + 2] == "1" and redis.call("GET", a.base .. "job:" .. id)
    local r = text and record_parse(text)
    if r and not string.find(r.flags, "p", 1, true) then
      r.flags = r.flags .. "p"
      writes[#writes + 1] = a.base .. "job:" .. id
      writes[#writes + 1] = record_text(r)
    end
  end
end
if #writes > 0 then redis.call("MSET", unpack(writes)) end
for k = 1, #members do
  local at = first + (k - 1) * 4
  if scores[k] then events_tell(log, "p" .. ARGV[at] .. "\t" .. ARGV[at + 3], 1) end
end
events_flush(log)
answer = table.concat(words)
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), answer), "seq", whole(log.seq))
return { "told", now, answer }
