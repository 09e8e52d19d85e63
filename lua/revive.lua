-- @include lane
-- @include failures
-- @include revival
-- @include queue
-- @include events
-- Gives failed jobs another life: attempts, stalls and hand-backs start anew, and they wait at the back of their bands.
-- Each job: id, and when it failed (ms; empty for whenever), so that nobody undoes a failure that they have not seen.
-- Replies { "revived", time, words, run, headers ... }: a letter for each job (r revived, f not failed, or at another time,
-- u unknown), and of each revived one its last run and its headers.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "seq")
local now = server_time()
local verdict, answer = lane_check(known[1], tonumber(a.n))
if verdict == "stale" then return { "stale" } end

local keys, jobs, words, seen = {}, {}, {}, {}
for i = first, #ARGV, 2 do keys[#keys + 1] = a.base .. "job:" .. ARGV[i] end
local texts = #keys > 0 and redis.call("MGET", unpack(keys)) or {}
-- Fail here, if any of these is spoilt, and not after jobs were taken out of their set.
redis.call("LLEN", q.waiting)
redis.call("ZCARD", q.priority)
redis.call("ZCARD", q.wake)

local reply = { "revived", now, "" }
local function tell_of(r)
  reply[#reply + 1] = r and r.run or ""
  reply[#reply + 1] = r and string.match(r.body, "^[^\n]*") or ""
end

if verdict == "same" then
  reply[3] = answer
  for k = 1, #keys do
    if string.sub(answer, k, k) == "r" then tell_of(texts[k] and record_parse(texts[k])) end
  end
  return reply
end

for k = 1, #keys do
  local id, failed_at = ARGV[first + 2 * k - 2], ARGV[first + 2 * k - 1]
  local r = texts[k] and record_parse(texts[k])
  if not r then
    words[k] = "u"
  elseif r.state ~= "f" or seen[id] or failed_at ~= "" and failed_at ~= r.finished then
    words[k] = "f"
  else
    words[k], seen[id] = "r", true
    local under = revival_key(a.base, r)
    if under then redis.call("ZCARD", under) end
    jobs[#jobs + 1] = { id = id, r = r, key = keys[k], entry = failures_entry(id, r), under = under }
  end
end

-- A full server lets ZREM through, and then the rest of the script; a job that lives again takes no more room.
local entries, records, bin = { "" }, {}, { gone = {}, expire = {} }
for k, job in ipairs(jobs) do entries[k] = job.entry end
redis.call("ZREM", q.failed, unpack(entries))
local log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or "0"))
for k, job in ipairs(jobs) do
  tell_of(job.r)
  revival_begin(bin, a.base, job.id, job.r, whole(now))
  events_tell(log, "v" .. job.id, 1)
  if job.under then redis.call("ZADD", job.under, whole(now * 1000 + k), job.id) end
end
queue_back(q, jobs)
for k, job in ipairs(jobs) do
  records[2 * k - 1], records[2 * k] = job.key, record_text(job.r)
end
if #records > 0 then redis.call("MSET", unpack(records)) end
finish_sweep(bin)
events_flush(log)
if #jobs > 0 then redis.call("HINCRBY", q.stats, "revived", #jobs) end
reply[3] = table.concat(words)
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), reply[3]), "seq", whole(log.seq))
return reply
