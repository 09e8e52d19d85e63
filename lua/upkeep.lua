-- @include lane
-- @include recovery
-- Keeps tasks in order: recovers lost leases, promotes what is due, trims what is too old, forgets unused lanes, and sets
-- a lost wake marker again. KEYS and ARGV hold one group for each task. All groups share one budget, of jobs evenly;
-- those that it does not reach are left as they are.
-- Replies { time, group, group ... }: { word, more, due, promoted, stalled ... } for each task, a stalled job being
-- id, action, count, deadline, record, reason; more is "1" where work may be left. A job that expired stands among them
-- with the action "expired".
local now = server_time()
local reply = { now }
local budget = { jobs = 500, bytes = 1048576, pages = 20 }

local function keep(q, a, known)
  local f = known[6] and flow().open(q, a, now, a.version)
  local lost = recovery_read(q, a, now, budget, f)
  local due = tonumber(known[3] or "")
  local is_due = due and due <= now
  local expiring = f and is_due and flow().expire_due(f, budget)
  local ready = is_due and promotion_read(q, a, now, budget, f) or { jobs = {}, places = {} }
  if f then
    if tonumber(known[9] or "0") > 0 then flow().look_after(f, known[10], budget) end
    flow().choose(f)
  end

  -- What is taken from its place and cannot be told of would stand nowhere: a spoilt stream is refused before.
  if lost.runs[1] or ready.jobs[1] then redis.call("XREVRANGE", q.events, "+", "-", "COUNT", 1) end
  redis.call("ZREM", q.active, "")
  local call = {
    now = now, time = whole(now), bin = { gone = {}, expire = {} }, records = {}, keep = a.keepFailed,
    log = events_begin(q.events, a.instance, a.maxlen, tonumber(known[2] or "0")),
  }
  local stalled = recovery_write(q, a, lost, call)
  promotion_write(q, ready, call)
  if f then due = flow().write(f, due, call) end
  if due and due <= now then due = due_next(q, f) end
  if #call.records > 0 then redis.call("MSET", unpack(call.records)) end
  local more = lost.more or ready.more or expiring or trim_old(q, a, call, budget, known[8] and f)
  events_flush(call.log)
  finish_sweep(call.bin)
  lanes_forget(q, call, budget, tonumber(known[4] or "0"), known[5])
  if redis.call("LLEN", q.waiting) > 0 or redis.call("ZCARD", q.priority) > 0 then queue_wake(q) end
  if f then flow().beckon(f) end

  -- Nodes of workflows that ended are told of with the next call's answer, for the case that nobody else carries it on.
  local answer = { "kept", (more and "1" or "") .. (known[7] and "o" or ""), due and whole(due) or "", whole(#ready.jobs) }
  for i = 1, #stalled do answer[#answer + 1] = stalled[i] end
  if f then flow().tell(f, answer) end
  return answer, call.log.seq
end

-- Another group begins each time, so that none is left out for ever.
local turn = groups > 0 and tonumber(group_args(1).n) % groups or 0
for i = 1, groups do
  local t = (turn + i - 1) % groups + 1
  local q, a = group_keys(t), group_args(t)
  local lane = "lane:" .. a.lane
  local known = redis.call("HMGET", q.stats, lane, "seq", "due", "swept", "sweeping", "terms", "outbox", "expired", "parked",
    "looked")
  local verdict, answer = lane_check(known[1], tonumber(a.n))
  if verdict == "stale" then
    reply[t + 1] = { "stale" }
  elseif verdict == "same" then
    reply[t + 1] = recovery_again(answer)
  else
    local seq = known[2] or "0"
    local left = budget.jobs
    if budget_spent(budget) then
      redis.call("ZREM", q.active, "")
      answer = { "kept", "1", "", "0" }
    else
      -- What a group leaves of its share is the next ones'.
      local others = groups - i
      local share = math.floor((left + others) / (others + 1))
      budget.jobs = share
      answer, seq = keep(q, a, known)
      seq = whole(seq)
      budget.jobs = left - (share - budget.jobs)
    end
    redis.call("HSET", q.stats, lane, lane_receipt(a.n, whole(now), recovery_receipt(answer)), "seq", seq)
    reply[t + 1] = answer
  end
end
return reply
