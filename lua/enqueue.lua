-- @include lane
-- @include newcomer
-- @lazy gates
-- @lazy enqueue_gated
-- @lazy enqueue_rare
-- Stores new jobs, all or none, in the order given. Each job: id, options, body (headers \n data).
-- options: "" or "delay,priority,named" (ms; 0 to 2^21; 1 where the user chose the id), then a line for each further one,
-- a letter, a space and its fields (see `enqueue_rare`).
-- Replies { "stored", time, answer, head, head ... }. answer: a letter for each job: s stored, b stored and replaced another
-- (debounce), d its id has a record already, u another job stands for it (deduplicate), t throttled; then, each behind a
-- newline, for b and u the other job's id, for t the ms until it may come again. head: of the record of each replaced job.
local lane = "lane:" .. a.lane
local known = redis.call("HMGET", q.stats, lane, "due", "epoch", "dispatched")
local verdict, answer = lane_check(known[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return enqueue_rare().again(a, now, answer) end

local created = whole(now)
local cold, records, ids, words, n, heads = created .. ",,,,,,,,\n\n", {}, {}, {}, 0, nil
for i = first, #ARGV, 3 do
  if ARGV[i + 1] ~= "" then
    ids = nil
    break
  end
  local body, data = newcomer_body(ARGV[i + 2])
  n = n + 1
  ids[n], words[n] = ARGV[i], "s"
  newcomer_add(records, a.base, ids[n], (data and fresh_apart or fresh_head) .. cold .. body, data)
end
if ids then
  -- The usual case: nothing but jobs that can run at once, in one write each for records and list.
  answer = n == 1 and "s" or table.concat(words)
  newcomer_store(records)
  local length = redis.pcall("LPUSH", q.waiting, unpack(ids))
  local wrong = type(length) == "table" and length
  if length == n then
    local woken = redis.pcall("ZADD", q.wake, 0, "w")
    if type(woken) == "table" then
      redis.call("LPOP", q.waiting, n)
      wrong = woken
    end
  end
  if wrong then
    newcomer_undo(records)
    return wrong
  end
else
  n, answer = enqueue_gated().store(q, a, ARGV, first, now, created)
  if not n then
    local jobs, said, p = enqueue_rare().read(q, a, ARGV, first, now)
    if not jobs then return redis.error_reply(said) end
    heads = enqueue_rare().write(q, a, jobs, now, tonumber(known[2] or ""), p)
    answer, n = said, #jobs
  end
end

-- Counters that fall within one epoch were lost in a failover; a new epoch is a real new beginning.
if not known[3] then redis.call("HSETNX", q.stats, "epoch", a.lane .. "-" .. created) end
redis.call("HSET", q.stats, lane, lane_receipt(a.n, created, answer), "dispatched", whole((known[4] or 0) + n))
return heads and { "stored", now, answer, unpack(heads) } or { "stored", now, answer }
