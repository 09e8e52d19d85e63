-- @include queue
-- @include parking
-- @lazy gates
-- What `enqueue` needs for jobs with options: a delay, a priority, a name, terms, and gates.

-- What each further line of a job's options says of it, by the letter it begins with: text to job; false where it cannot be
-- read. b delay ms,longest wait ms or "",cancelled jobs kept,stream's length,instance \t key (debounce); c limit,key;
-- n a node of a workflow; r most,window ms,key (throttle); t ms,discard; u letters of states,key (deduplicate); v version.
local option_lines = {}

function option_lines.b(job, text)
  local delay, most, keep, maxlen, instance, key = string.match(text, "^(%d+),(%d*),(%d+),(%d+),([^\t]*)\t(.+)$")
  if not delay then return false end
  job.gate = {
    kind = "debounce", key = key, delay = tonumber(delay), most = tonumber(most), keep = keep, maxlen = maxlen,
    instance = instance,
  }
end

function option_lines.c(job, text)
  local limit, key = string.match(text, "^(%d+),(.+)$")
  if not limit then return false end
  job.terms.limit, job.terms.key = limit, key
end

function option_lines.r(job, text)
  local most, window, key = string.match(text, "^(%d+),(%d+),(.+)$")
  if not most then return false end
  job.gate = { kind = "throttle", key = key, most = tonumber(most), window = tonumber(window) }
end

-- A node of a workflow: its id is its own and the workflow's.
function option_lines.n(job)
  job.node = true
end

function option_lines.t(job, text, now)
  local ms, discard = string.match(text, "^(%d+),([01])$")
  if not ms then return false end
  job.terms.expires, job.terms.discard = whole(now + ms), discard == "1" and "1" or ""
end

function option_lines.u(job, text)
  local states, key = string.match(text, "^([wda]+),(.+)$")
  if not states then return false end
  job.gate = { kind = "dedupe", key = key, states = states }
end

function option_lines.v(job, text)
  if not string.find(text, "^%d+$") then return false end
  job.terms.version = text
end

-- Reads a job's options; returns what is wrong with them, if anything.
local function read_options(job, options, now)
  local delay, priority, chosen, rest = string.match(options, "^(%d+),(%d+),(%d)(.*)$")
  if not delay then return "ERR options of job " .. job.id .. " are not delay,priority,named" end
  job.delay, job.priority, job.chosen = tonumber(delay), tonumber(priority), chosen == "1"
  if rest == "" then return nil end
  job.terms = {}
  for letter, text in string.gmatch(rest, "\n(%a) ([^\n]*)") do
    local reads = option_lines[letter]
    if not reads or reads(job, text, now) == false then
      return "ERR option " .. letter .. " of job " .. job.id .. " is not known or cannot be read"
    end
  end
end

-- Whether a job that has a name is known already, or, being a node of a workflow, was or is barred.
local function is_known(a, job)
  if redis.call("EXISTS", a.base .. "job:" .. job.id) == 1 then return true end
  return job.node and (redis.call("EXISTS", a.base .. "node:" .. job.id) == 1
    or redis.call("HEXISTS", a.base .. "outcomes", job.id) == 1)
end

-- Takes the jobs apart and settles which are stored: those, and a letter for each, behind them a line for each letter that
-- takes one (see `gates`); and what was read of their concurrency keys. A wrong option is an error, in words.
local function read(q, a, argv, first, now)
  local jobs, seen, words, notes = {}, {}, {}, {}
  local p = parking_open(q, a.base, now)
  for i = first, #argv, 3 do
    local id, options = argv[i], argv[i + 1]
    local job = { id = id }
    job.body, job.data = newcomer_body(argv[i + 2])
    if options ~= "" then
      local wrong = read_options(job, options, now)
      if wrong then return nil, wrong end
    end
    if job.chosen and (seen[id] or is_known(a, job)) then
      words[#words + 1] = "d"
    else
      local word, note = "s", nil
      if job.gate then word, note = gates().try(a, job, now) end
      words[#words + 1], notes[#notes + 1] = word, note and "\n" .. note
      if word == "s" or word == "b" then
        seen[id] = true
        jobs[#jobs + 1] = job
        if job.terms and job.terms.limit and job.delay == 0 then job.parked = parking_bars(p, job.terms) end
      end
    end
  end
  return jobs, table.concat(words) .. table.concat(notes), p
end

-- Gives a new job its terms, if it has any.
local function agree(job, batch)
  local r, terms = job.r, job.terms
  if not terms or not next(terms) then return end
  if terms.limit then
    batch.last = batch.last + 1
    terms.turn = whole(batch.last)
  end
  terms_set(r, terms)
  batch.special = true
  if terms.expires and not job.dropped then
    batch.expiring[#batch.expiring + 1] = terms.expires
    batch.expiring[#batch.expiring + 1] = record_place(job.id, r)
    batch.expires = math.min(batch.expires or tonumber(terms.expires), tonumber(terms.expires))
  end
end

-- Gives a new job its record and its place; `batch` gathers what is written once for all.
local function born(job, now, batch)
  local r = record_new(whole(now), job.body)
  job.r = r
  if job.data then r.flags = "b" end
  if job.node then r.flags = r.flags .. "n" end
  if job.chosen or job.nonced then
    batch.last = batch.last + 1
    r.nonce = whole(batch.last)
  end
  if job.priority and job.priority > 0 then r.priority = whole(job.priority) end
  agree(job, batch)
  if job.gate then batch.gated = true end
  if job.delay and job.delay > 0 then
    local at = now + job.delay
    r.state, r.eligible, r.life = "d", whole(at), whole(at)
    -- What another job of this call has replaced already is written as that, behind.
    if job.dropped then return end
    batch.scored[#batch.scored + 1] = r.eligible
    batch.scored[#batch.scored + 1] = record_place(job.id, r)
    batch.earliest = math.min(batch.earliest or at, at)
  elseif job.parked then
    -- Among those with a priority it has its place already, should it be released.
    r.state, r.order = "k", r.priority ~= "" and job.terms.turn or ""
    batch.parked[#batch.parked + 1] = "0"
    batch.parked[#batch.parked + 1] = parking_member(job.terms, job.id, r)
  else
    batch.back[#batch.back + 1] = job
  end
end

-- Reads of all keys that will be written: one of another type must show before the first write.
local function try_keys(q, a, batch)
  if #batch.back > 0 then
    redis.call("LLEN", q.waiting)
    redis.call("ZCARD", q.priority)
  end
  if #batch.scored > 0 then redis.call("ZCARD", q.delayed) end
  if #batch.expiring > 0 then redis.call("ZCARD", a.base .. "expiring") end
  redis.call("ZCARD", q.wake)
end

-- Writes them; returns the heads of the records of those that they replaced, if any. `due`: when the next delayed job falls
-- due, as far as known. `p`: what `read` found of their keys.
local function write(q, a, jobs, now, due, p)
  if #jobs == 0 then return end
  -- The nonces (and turns) are those that the HINCRBY after the MSET reserves: nothing else runs in between, and the first
  -- write must be one that a full server refuses.
  local before = tonumber(redis.call("HGET", q.stats, "order") or "0")
  local batch = { last = before, back = {}, scored = {}, expiring = {}, parked = {} }
  local records = {}
  for _, job in ipairs(jobs) do
    born(job, now, batch)
    if not job.dropped then newcomer_add(records, a.base, job.id, record_text(job.r), job.data) end
  end
  try_keys(q, a, batch)
  if batch.gated then gates().ready(q, a, now) end
  newcomer_store(records)
  queue_orders(q, batch.last - before)
  queue_back(q, batch.back)
  due = queue_delay(q, batch.scored, batch.earliest, due)
  if batch.special then
    zset_add(a.base .. "expiring", batch.expiring)
    queue_due(q, batch.expires, due)
    parking_add(p, batch.parked)
    redis.call("HSET", q.stats, "terms", "1")
  end
  -- Those with a priority have got their orders only now.
  local ranked = {}
  for _, job in ipairs(batch.back) do
    if job.r.order ~= "" then newcomer_add(ranked, a.base, job.id, record_text(job.r)) end
  end
  newcomer_store(ranked)
  return batch.gated and gates().write(q, a, now) or nil
end

-- Answers a repeated call: the same words, and the heads of what was replaced, as far as they are still kept.
local function again(a, now, answer)
  local reply = { "stored", now, answer }
  local words, notes = string.match(answer, "^(%a*)(.*)$")
  local lines = string.gmatch(notes, "[^\n]+")
  for word in string.gmatch(words, "[btu]") do
    local note = lines()
    if word == "b" then
      local text = redis.call("MGET", a.base .. "job:" .. note)[1]
      reply[#reply + 1] = text and record_head(text) or ""
    end
  end
  return reply
end

return { read = read, write = write, again = again }
