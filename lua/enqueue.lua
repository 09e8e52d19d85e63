-- @include lane
-- @include queue
-- @include newcomer
-- Stores new jobs, all or none, in the order given. Each job: id, options, body (headers \n data).
-- options: "" or "delay,priority,named" (ms; 0 to 2^21; 1 where the user chose the id).
-- Replies { "stored", time, words } with a letter for each job: s stored, d duplicate (its id has a record already).
local known = redis.call("HMGET", q.stats, "lane:" .. a.lane, "due", "epoch", "dispatched")
local verdict, answer = lane_check(known[1], tonumber(a.n))
local now = server_time()
if verdict == "stale" then return { "stale" } end
if verdict == "same" then return { "stored", now, answer } end

local jobs, seen, words, plain = {}, {}, {}, true
for i = first, #ARGV, 3 do
  local id, options = ARGV[i], ARGV[i + 1]
  local job = newcomer(a.base, id, ARGV[i + 2])
  if options ~= "" then
    local delay, priority, chosen = string.match(options, "^(%d+),(%d+),(%d)$")
    if not delay then return redis.error_reply("ERR options of job " .. id .. " are not delay,priority,named") end
    job.delay, job.priority, job.chosen = tonumber(delay), tonumber(priority), chosen == "1"
    plain = false
  end
  if job.chosen and (seen[id] or redis.call("EXISTS", job.key) == 1) then
    words[#words + 1] = "d"
  else
    seen[id] = true
    words[#words + 1] = "s"
    jobs[#jobs + 1] = job
  end
end
answer = table.concat(words)

local created = whole(now)
if plain and #jobs > 0 then
  -- The usual case: nothing but jobs that can run at once, in one write each for records, list and counters.
  local records, places = {}, {}
  for k = 1, #jobs do
    places[k] = jobs[k].id
    newcomer_record(records, jobs[k], newcomer_text(jobs[k], created))
  end
  redis.call("MSET", unpack(records))
  if redis.call("LPUSH", q.waiting, unpack(places)) == #places then queue_wake(q) end
elseif #jobs > 0 then
  -- The nonces are those that the HINCRBY after the MSET reserves: nothing else runs in between, and the first write
  -- must be one that a full server refuses.
  local before = tonumber(redis.call("HGET", q.stats, "order") or "0")
  local records, back, scored, due, nonces = {}, {}, {}, nil, 0
  for _, job in ipairs(jobs) do
    local r = record_new(created, job.body)
    job.r = r
    if job.data then r.flags = "b" end
    if job.chosen then
      nonces = nonces + 1
      r.nonce = whole(before + nonces)
    end
    if job.priority and job.priority > 0 then r.priority = whole(job.priority) end
    if job.delay and job.delay > 0 then
      local at = now + job.delay
      r.state, r.eligible, r.life = "d", whole(at), whole(at)
      scored[#scored + 1] = r.eligible
      scored[#scored + 1] = record_place(job.id, r)
      if not due or at < due then due = at end
    else
      back[#back + 1] = job
    end
    newcomer_record(records, job, record_text(r))
  end
  redis.call("MSET", unpack(records))
  queue_orders(q, nonces)
  queue_back(q, back)
  queue_delay(q, scored, due, tonumber(known[2] or ""))
  -- Those with a priority have got their orders only now.
  local ranked = {}
  for _, job in ipairs(back) do
    if job.r.order ~= "" then
      ranked[#ranked + 1] = job.key
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
