-- @include lane
-- @include record
-- Adds lines to a job's log: a list whose first element counts its bytes. At most `lines` lines and `bytes` bytes a job,
-- then one line (`full`) that says so. ARGV from `first` on: the lines, JSON.
-- Replies { "logged" | "lost" | "full", time }.
local lane = "lane:" .. a.lane
local receipt = redis.call("HGET", q.stats, lane)
local now = server_time()
local verdict, answer = lane_check(receipt, tonumber(a.n))
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { answer, now } end

local key, job = a.base .. "logs:" .. a.id, a.base .. "job:" .. a.id
if not redis.call("ZSCORE", q.active, a.id .. "\t" .. a.token) then
  redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), "lost"))
  return { "lost", now }
end
local text = redis.call("GET", job)
local r = text and record_parse(text)
local length = redis.call("LLEN", key)
local bytes = length > 0 and tonumber(redis.call("LINDEX", key, 0)) or 0
local added = {}
answer = "logged"
-- A count beyond a limit means that the line that says so is there.
local lines = math.max(length - 1, 0)
for i = first, #ARGV do
  if lines > tonumber(a.lines) or bytes > tonumber(a.bytes) then
    answer = "full"
    break
  end
  lines = lines + 1
  bytes = bytes + #ARGV[i]
  if lines > tonumber(a.lines) or bytes > tonumber(a.bytes) then
    added[#added + 1] = a.full
    bytes = tonumber(a.bytes) + 1
    lines = tonumber(a.lines) + 1
    answer = "full"
  else
    added[#added + 1] = ARGV[i]
  end
end
if r and not string.find(r.flags, "l", 1, true) then
  r.flags = r.flags .. "l"
  redis.call("SET", job, record_text(r))
end
if #added > 0 then
  if length == 0 then redis.call("RPUSH", key, "0") end
  redis.call("RPUSH", key, unpack(added))
  redis.call("LSET", key, 0, whole(bytes))
end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), answer))
return { answer, now }
