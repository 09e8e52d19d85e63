-- @include time
-- Tells a workflow what became of its nodes, and asks what is to be done next. Everything it is told is taken once, by the
-- state of the node, so that repeated, late and simultaneous calls change nothing.
-- News: kind, node, text. kind: c f x e (what became of the node; text: run \n result, error or reason), q (it has been
-- dispatched), stop (cancel the whole workflow; text: reason, JSON or empty).
-- Replies { state, time, failed node, error or reason, name, created, headers, more, kind, node, text ... }: state running,
-- failing, cancelling, completed, failed, cancelled, or gone where there is none; more "1": call again; then what to do:
-- d (dispatch the node; text: as planned) or x (cancel it; text: its task). Work that is handed out is handed out again
-- after `lease` ms unless news of it has come. An ended workflow stays for `keep` ms.
local spread_most, far = 500, 9007199254740991
local now = server_time()
local head = redis.call("HMGET", q.head, "state", "total", "done", "expires", "error", "failed", "name", "created", "headers",
  "parts")
local state = head[1]
if not state or state == "planned" then return { "gone", now, "", "", "", "0", "", "" } end
local total, done, reason, failed = tonumber(head[2]), tonumber(head[3]), head[5] or "", head[6] or ""
local news, told = {}, {}
for i = first, #ARGV, 3 do
  news[#news + 1] = { kind = ARGV[i], node = ARGV[i + 1], text = ARGV[i + 2] }
  told[#told + 1] = ARGV[i + 1]
end
local states = #told > 0 and redis.call("HMGET", q.states, unpack(told)) or {}
local edges = #told > 0 and redis.call("HMGET", q.edges, unpack(told)) or {}
local ended = { completed = true, failed = true, cancelled = true }
local over = { c = true, f = true, x = true, e = true }

redis.call("ZREM", q.live, "")
if head[10] then
  -- It has begun: what was planned must not expire any more.
  for _, key in ipairs({ q.head, q.edges, q.nodes, q.ready }) do redis.call("PERSIST", key) end
  redis.call("HDEL", q.head, "parts")
end

local function stop(as, why, node)
  if state ~= "running" then return end
  state, reason, failed = as, why, node
  redis.call("DEL", q.ready, q.spread)
end

local seen = {}
for k, item in ipairs(news) do
  local node, kind = item.node, item.kind
  local was = seen[node] or states[k] or ""
  local open = edges[k] and not over[was]
  if kind == "stop" then
    stop("cancelling", item.text, "")
  elseif kind == "q" and open and was == "r" then
    seen[node] = "q"
    redis.call("HSET", q.states, node, "q")
    redis.call("ZADD", q.live, "XX", far, node)
  elseif over[kind] and open then
    seen[node] = kind
    local run, text = string.match(item.text, "^([^\n]*)\n(.*)$")
    redis.call("HSET", q.states, node, kind)
    redis.call("ZREM", q.live, node)
    if kind == "c" then
      done = done + 1
      redis.call("HSET", q.out, node, text)
      if run ~= "" then redis.call("HSET", q.runs, node, run) end
      local dependents = string.match(edges[k], "|(.+)$")
      if dependents and state == "running" then redis.call("RPUSH", q.spread, dependents) end
    elseif kind == "x" then
      stop("cancelling", text, node)
    else
      local late = '{"name":"ExpiredError","message":"it was not started within its ttl"}'
      stop("failing", kind == "e" and late or text, node)
    end
  end
end
if state == "running" and head[4] ~= "" and now >= tonumber(head[4]) then
  stop("failing", '{"name":"ExpiredError","message":"the workflow did not end within its ttl"}', "")
end

-- Lets those that wait for completed nodes know, a bounded number of them in each call.
local left = state == "running" and spread_most or 0
while left > 0 do
  local ranges = redis.call("LPOP", q.spread)
  if not ranges then break end
  local head_range, rest = string.match(ranges, "^([^,]*),?(.*)$")
  local from, to = string.match(head_range, "^(%d+)-(%d+)$")
  from, to = tonumber(from), tonumber(to)
  local last = math.min(to, from + left - 1)
  local ids = {}
  for node = from, last do ids[#ids + 1] = whole(node) end
  local needs, ready = redis.call("HMGET", q.edges, unpack(ids)), {}
  for k, id in ipairs(ids) do
    local need = tonumber(string.match(needs[k] or "", "^%d+"))
    if need == 1 or need and redis.call("HINCRBY", q.counts, id, 1) == need then ready[#ready + 1] = id end
  end
  if #ready > 0 then redis.call("RPUSH", q.ready, unpack(ready)) end
  left = left - #ids
  if last < to then rest = whole(last + 1) .. "-" .. whole(to) .. (rest == "" and "" or "," .. rest) end
  if rest ~= "" then redis.call("LPUSH", q.spread, rest) end
end

local work, bytes, limit, more = {}, 0, tonumber(a.limit), false
local lease_end = now + a.lease

local function hand_out(kind, node, text)
  work[#work + 1], work[#work + 2], work[#work + 3] = kind, node, text
  bytes = bytes + #text
  redis.call("ZADD", q.live, lease_end, node)
end

if state == "running" then
  for _, node in ipairs(redis.call("ZRANGE", q.live, "-inf", whole(now), "BYSCORE", "LIMIT", 0, limit)) do
    hand_out("d", node, redis.call("HGET", q.nodes, node))
  end
  while #work < limit * 3 and bytes < 1048576 do
    local node = redis.call("LPOP", q.ready)
    if not node then break end
    redis.call("HSET", q.states, node, "r")
    hand_out("d", node, redis.call("HGET", q.nodes, node))
  end
  more = redis.call("LLEN", q.ready) > 0 or redis.call("LLEN", q.spread) > 0
  if done == total then state = "completed" end
elseif state == "failing" or state == "cancelling" then
  -- Whoever was asked already has a time within the lease.
  for _, range in ipairs({ { "-inf", whole(now) }, { "(" .. whole(lease_end), "+inf" } }) do
    for _, node in ipairs(redis.call("ZRANGE", q.live, range[1], range[2], "BYSCORE", "LIMIT", 0, limit)) do
      hand_out("x", node, string.match(redis.call("HGET", q.nodes, node), "^[^\n]*"))
    end
  end
  more = #work >= limit * 3
  if redis.call("ZCARD", q.live) == 0 then state = state == "failing" and "failed" or "cancelled" end
end

redis.call("HSET", q.head, "state", state, "done", whole(done), "error", reason, "failed", failed)
if ended[state] and not ended[head[1]] then
  redis.call("HSET", q.head, "finished", whole(now))
  for _, key in pairs(q) do redis.call("PEXPIRE", key, a.keep) end
end
local reply = { state, now, failed, reason, head[7], head[8], head[9], more and "1" or "" }
for k = 1, #work do reply[8 + k] = work[k] end
return reply
