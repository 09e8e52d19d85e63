-- @include lane
-- @include queue
-- @include fresh
-- Stores new jobs, all or none, in the order given. Each job: id, options, body (headers \n data).
-- options: "" or "delay,priority,named" (ms; 0 to 2^21; 1 where the user chose the id).
-- Replies { "stored", time, words } with a letter for each job: s stored, d duplicate (its id has a record already).
local known = redis.call("HMGET", q.stats, "lane:" .. a.lane, "due", "epoch", "dispatched")
local verdict, answer = lane_check(known[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "stored", now, answer } end

local jobs, seen, words, named = {}, {}, {}, 0
for i = first, #ARGV, 3 do
  local id, options = ARGV[i], ARGV[i + 1]
  local delay, priority, chosen = 0, 0, false
  if options ~= "" then
    local d, p, c = string.match(options, "^(%d+),(%d+),(%d)$")
    if not d then return redis.error_reply("ERR options of job " .. id .. " are not delay,priority,named") end
    delay, priority, chosen = tonumber(d), tonumber(p), c == "1"
  end
  if chosen and (seen[id] or redis.call("EXISTS", a.base .. "job:" .. id) == 1) then
    words[#words + 1] = "d"
  else
    seen[id] = true
    if chosen then named = named + 1 end
    words[#words + 1] = "s"
    jobs[#jobs + 1] = { id = id, delay = delay, priority = priority, chosen = chosen, body = ARGV[i + 2] }
  end
end
answer = table.concat(words)

local created = whole(now)
local plain_head = fresh_head .. created .. ",,,,,,,,\n\n"
local records, back, scored, due, nonce = {}, {}, {}, nil, 0
local plain = {}
for k, job in ipairs(jobs) do
  local text
  if job.delay == 0 and job.priority == 0 and not job.chosen then
    text = plain_head .. job.body
    plain[#plain + 1] = job.id
  else
    nonce = job.chosen and nonce + 1 or nonce
    job.nonce = job.chosen and nonce or nil
  end
  records[2 * k - 1] = a.base .. "job:" .. job.id
  records[2 * k] = text or ""
end

if #plain == #jobs and #jobs > 0 then
  -- The usual case: nothing but jobs that can run at once, in one write each for records, list and counters.
  redis.call("MSET", unpack(records))
  if redis.call("LPUSH", q.waiting, unpack(plain)) == #plain then queue_wake(q) end
elseif #jobs > 0 then
  -- The nonces are those that the HINCRBY after the MSET reserves: nothing else runs in between, and the first write
  -- must be one that a full server refuses.
  local before = tonumber(redis.call("HGET", q.stats, "order") or "0")
  for k, job in ipairs(jobs) do
    local r = record_new(created, job.body)
    if job.priority > 0 then r.priority = whole(job.priority) end
    if job.nonce then r.nonce = whole(before + job.nonce) end
    job.r = r
    if job.delay > 0 then
      local at = now + job.delay
      r.state, r.eligible, r.life = "d", whole(at), whole(at)
      scored[#scored + 1] = r.eligible
      scored[#scored + 1] = record_place(job.id, r)
      if not due or at < due then due = at end
    else
      back[#back + 1] = job
    end
    records[2 * k] = record_text(r)
  end
  redis.call("MSET", unpack(records))
  queue_orders(q, nonce)
  queue_back(q, back)
  queue_delay(q, scored, due, tonumber(known[2] or ""))
  local ranked = {}
  for _, job in ipairs(back) do
    if job.r.order ~= "" then
      ranked[#ranked + 1] = a.base .. "job:" .. job.id
      ranked[#ranked + 1] = record_text(job.r)
    end
  end
  if #ranked > 0 then redis.call("MSET", unpack(ranked)) end
end

-- Counters that fall within one epoch were lost in a failover; a new epoch is a real new beginning.
if not known[3] then redis.call("HSETNX", q.stats, "epoch", a.lane .. "-" .. created) end
redis.call("HSET", q.stats, "lane:" .. a.lane, lane_receipt(a.n, created, answer),
  "dispatched", whole((known[4] or 0) + #jobs))
return { "stored", now, answer }
