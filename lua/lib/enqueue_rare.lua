-- @include queue
-- @include terms
-- What `enqueue` needs for jobs with options: a delay, a priority, a name, and terms.

-- What each further line of a job's options says of it, by the letter it begins with: text to job; false where it cannot be
-- read. c limit,key; t ms,discard; v version.
local option_lines = {}

function option_lines.c(job, text)
  local limit, key = string.match(text, "^(%d+),(.+)$")
  if not limit then return false end
  job.terms.limit, job.terms.key = limit, key
end

function option_lines.t(job, text, now)
  local ms, discard = string.match(text, "^(%d+),([01])$")
  if not ms then return false end
  job.terms.expires, job.terms.discard = whole(now + ms), discard == "1" and "1" or ""
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

-- Takes the jobs apart and settles which are stored: those, and a letter for each. A wrong option is an error, in words.
local function read(a, argv, first, now)
  local jobs, seen, words = {}, {}, {}
  for i = first, #argv, 3 do
    local id, options = argv[i], argv[i + 1]
    local job = { id = id }
    job.body, job.data = newcomer_body(argv[i + 2])
    if options ~= "" then
      local wrong = read_options(job, options, now)
      if wrong then return nil, wrong end
    end
    if job.chosen and (seen[id] or redis.call("EXISTS", a.base .. "job:" .. id) == 1) then
      words[#words + 1] = "d"
    else
      seen[id] = true
      words[#words + 1] = "s"
      jobs[#jobs + 1] = job
    end
  end
  return jobs, table.concat(words)
end

-- Writes them. `due`: when the next delayed job falls due, as far as known.
local function write(q, a, jobs, now, due)
  if #jobs == 0 then return end
  -- The nonces are those that the HINCRBY after the MSET reserves: nothing else runs in between, and the first write
  -- must be one that a full server refuses.
  local before = tonumber(redis.call("HGET", q.stats, "order") or "0")
  local records, back, scored, earliest, nonces = {}, {}, {}, nil, 0
  local expiring, expires, special = {}, nil, false
  for _, job in ipairs(jobs) do
    local r = record_new(whole(now), job.body)
    job.r = r
    if job.data then r.flags = "b" end
    if job.terms and next(job.terms) then
      terms_set(r, job.terms)
      special = true
    end
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
      if not earliest or at < earliest then earliest = at end
    else
      back[#back + 1] = job
    end
    if job.terms and job.terms.expires then
      expiring[#expiring + 1] = job.terms.expires
      expiring[#expiring + 1] = record_place(job.id, r)
      local at = tonumber(job.terms.expires)
      if not expires or at < expires then expires = at end
    end
    newcomer_add(records, a.base, job.id, record_text(r), job.data)
  end
  -- Reads of all keys that will be written: one of another type must show before the first write.
  if #back > 0 then
    redis.call("LLEN", q.waiting)
    redis.call("ZCARD", q.priority)
  end
  if #scored > 0 then redis.call("ZCARD", q.delayed) end
  redis.call("ZCARD", q.wake)
  newcomer_store(records)
  queue_orders(q, nonces)
  queue_back(q, back)
  due = queue_delay(q, scored, earliest, due)
  if #expiring > 0 then redis.call("ZADD", a.base .. "expiring", unpack(expiring)) end
  queue_due(q, expires, due)
  if special then redis.call("HSET", q.stats, "terms", "1") end
  -- Those with a priority have got their orders only now.
  local ranked = {}
  for _, job in ipairs(back) do
    if job.r.order ~= "" then newcomer_add(ranked, a.base, job.id, record_text(job.r)) end
  end
  newcomer_store(ranked)
end

return { read = read, write = write }
