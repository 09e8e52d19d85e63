-- @include lane
-- @include record
-- @include failures
-- Forgets failed jobs. Each: id, and when it failed (ms; empty for whenever).
-- Replies { "discarded", time, words }: a letter for each job (d discarded, f not failed, or at another time, u unknown).
local lane = "lane:" .. a.lane
local verdict, answer = lane_check(redis.call("HMGET", q.stats, lane)[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "discarded", now, answer } end

local keys, entries, words, seen = {}, { "" }, {}, {}
local bin = { gone = {}, expire = {} }
for i = first, #ARGV, 2 do keys[#keys + 1] = a.base .. "job:" .. ARGV[i] end
local texts = #keys > 0 and redis.call("MGET", unpack(keys)) or {}
for k = 1, #keys do
  local id, failed_at = ARGV[first + 2 * k - 2], ARGV[first + 2 * k - 1]
  local r = texts[k] and record_parse(texts[k])
  if not r or seen[id] then
    words[k] = "u"
  elseif r.state ~= "f" or failed_at ~= "" and failed_at ~= r.finished then
    words[k] = "f"
  else
    words[k], seen[id] = "d", true
    entries[#entries + 1] = failures_entry(id, r)
    finish_forget(bin, a.base, id, r.flags)
  end
end

redis.call("ZREM", q.failed, unpack(entries))
finish_sweep(bin)
answer = table.concat(words)
redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), answer))
return { "discarded", now, answer }
