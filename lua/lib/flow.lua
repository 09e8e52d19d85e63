-- @include record
-- @include terms
-- @include queue
-- @include parking
-- @include newer
-- @lazy outbox
-- What follows where jobs with terms (see `terms`) come and go. The reading half notes it in a table of the call's own, `f`;
-- `write` does it all, so that nothing is read after the first write. Jobs with a ttl that wait to be started stand in
-- `expiring` beside the collection of their state, scored by the time at which they expire.
local look_most = 400
local look_step = 100
local expired_most = 100
local keys_looked_at = 20

-- `version`: the newest that the worker takes; nil where nothing is claimed.
local function open(q, a, now, version)
  return {
    q = q, base = a.base, now = now, version = tonumber(version or "") or 1, out = {}, into = {}, expired = {}, gone = {},
    freed = {}, aside = {}, taken = {}, p = parking_open(q, a.base, now),
  }
end

local function expires_at(f, t, place)
  f.into[#f.into + 1] = t.expires
  f.into[#f.into + 1] = place
  local at = tonumber(t.expires)
  if not f.due or at < f.due then f.due = at end
end

-- A slot of the job's key, where it has one, is free; of a run that comes back to the front, it is kept.
local function give_slot(f, id, r, t, how)
  if r.state == "k" then
    parking_unpark(f.p, t, id, r)
  elseif r.state == "w" then
    parking_leave(parking_key(f.p, t.key), parking_kept(id, r))
  elseif r.state == "a" then
    local k, member = parking_key(f.p, t.key), id .. "\t" .. r.token
    if how ~= "front" then
      parking_leave(k, member)
    elseif redis.call("ZSCORE", k.holders, member) then
      parking_drop(k, member)
      parking_keep(f.p, k, parking_kept(id, r))
    end
  end
end

-- A job is leaving where it is; `r`: its record as it was. how: "ended", for good; "front" or "back", where it will wait
-- again, or be delayed.
local function left(f, id, r, how)
  local t = terms_of(r)
  -- Others under its deduplication key need not give way to it any more.
  if how == "ended" and t.dedupe ~= "" then
    f.freed[#f.freed + 1] = f.base .. "dedupe:" .. t.dedupe
    f.freed[#f.freed + 1] = id
  end
  if t.expires ~= "" then
    local place = record_place(id, r)
    if how ~= "ended" then
      expires_at(f, t, place)
    elseif r.state ~= "a" then
      f.out[#f.out + 1] = place
    end
  end
  if t.limit ~= "" then give_slot(f, id, r, t, how) end
end

local goes = { completed = "ended", failed = "ended", cancelled = "ended", retried = "back", released = "front" }

-- Runs that are settled, as `settlement_hold` left them.
local function settled(f, items)
  for _, item in ipairs(items) do
    local how = item.held and goes[item.kind]
    if how and item.requested then how = "ended" end
    local flags = how and string.match(item.text, "^a,%d*,%d*,%d*,%d*,%d*,(%a*),")
    local r = flags and string.find(flags, "k", 1, true) and record_parse(item.text)
    if r then left(f, item.id, r, how) end
  end
end

-- A job that waits has expired; `taken`: its place is the caller's to clear.
local function expires(f, id, r, taken)
  f.expired[#f.expired + 1] = { id = id, r = r, state = r.state, taken = taken, head = record_head(record_text(r)) }
  left(f, id, r, "ended")
end

-- Whether a job that waits, and that a claim looks at, may be started here now. If it has expired it ends; if it is of a newer
-- version it is put aside; and if no slot of its key is free it is parked.
local function starts(f, id, r)
  if r.terms == "" then return true end
  local t = terms_of(r)
  if t.expires ~= "" and tonumber(t.expires) <= f.now then
    expires(f, id, r, true)
    return false
  end
  if not newer_fits(f, id, r) then
    if t.limit ~= "" then give_slot(f, id, r, t, "back") end
    return false
  end
  if t.limit ~= "" and not parking_admits(f.p, t, id, r) then return false end
  if t.expires ~= "" then f.out[#f.out + 1] = record_place(id, r) end
  return true
end

-- Jobs that other workers put aside, and this one takes, are claimed before what a claim has found.
local function look(f, found, want, texts)
  newer_look(f, found, want, texts, starts)
end

-- A claim has leased the job.
local function started(f, id, r, token)
  local t = terms_of(r)
  if t.limit ~= "" then parking_take(f.p, t.key, id, token) end
end

-- Where jobs were passed over, looks for more of them behind those that were found; false where there are none, or enough
-- were looked at.
local function further(f, a, found, keys, texts)
  local seen = #found.places
  if seen >= look_most or #f.expired >= expired_most then
    found.capped = true
    return false
  end
  local n, more = math.min(look_step, look_most - seen), {}
  if found.ranked > 0 and not found.unranked and found.ranked == seen then
    more = redis.call("ZRANGE", f.q.priority, found.ranked, found.ranked + n - 1)
    found.ranked, found.unranked = found.ranked + #more, #more < n
  end
  if #more == 0 then
    local listed = seen - found.ranked
    local range = redis.call("LRANGE", f.q.waiting, -(listed + n), -(listed + 1))
    for i = #range, 1, -1 do more[#more + 1] = range[i] end
  end
  if #more == 0 then return false end
  local names = {}
  for i, place in ipairs(more) do
    local id = string.match(place, "^[^\t]*")
    names[i] = a.base .. "job:" .. id
    found.places[seen + i], found.ids[seen + i], keys[found.at + seen + i] = place, id, names[i]
  end
  for i, text in ipairs(redis.call("MGET", unpack(names))) do texts[found.at + seen + i] = text end
  return true
end

-- Jobs that have expired wherever they wait; true where there may be more.
local function expire_due(f, budget)
  local most = math.min(expired_most, math.max(0, budget.jobs))
  local places = redis.call("ZRANGE", f.base .. "expiring", "-inf", whole(f.now), "BYSCORE", "LIMIT", 0, most)
  for k, place in ipairs(places) do
    if k > 1 and budget.bytes <= 0 then return true end
    local id = string.match(place, "^[^\t]*")
    local text = redis.call("MGET", f.base .. "job:" .. id)[1]
    budget.jobs, budget.bytes = budget.jobs - 1, budget.bytes - (text and #text or 0)
    local r = text and record_parse(text)
    local waits = r and string.find("wdkn", r.state, 1, true) and record_place(id, r) == place
    if waits then
      f.gone[place] = true
      expires(f, id, r, false)
    else
      f.out[#f.out + 1] = place
    end
  end
  return #places == most
end

-- Looks at some keys that have parked jobs, a few in each call, so that none of them can wait for nobody. `cursor`: the key
-- looked at last.
local function look_after(f, cursor, budget)
  local from = cursor and cursor ~= "" and "(" .. cursor .. "\n" or "-"
  f.cursor = ""
  for _ = 1, keys_looked_at do
    local member = redis.call("ZRANGE", f.p.parked, from, "+", "BYLEX", "LIMIT", 0, 1)[1]
    if not member then
      f.cursor = ""
      return
    end
    f.cursor = string.match(member, "^[^\t]*")
    local k = parking_key(f.p, f.cursor)
    budget.jobs = budget.jobs - 1
    parking_check(f.p, k)
    k.free = math.max(k.free, 1)
    from = "(" .. f.cursor .. "\n"
  end
end

-- Ends the jobs that have expired.
local function write_expired(f, call)
  local kept, records, tombs = {}, {}, 0
  for _, job in ipairs(f.expired) do
    local r, id, place = job.r, job.id, record_place(job.id, job.r)
    if job.state == "d" then
      redis.call("ZREM", f.q.delayed, place)
    elseif job.state == "n" and not job.taken then
      redis.call("ZREM", f.base .. "newer", place)
    elseif job.state == "w" and not job.taken and redis.call("ZREM", f.q.priority, place) == 0 then
      tombs = tombs + 1
    end
    local discarded = terms_of(r).discard == "1"
    if not discarded then events_tell(call.log, "e" .. id .. "\t" .. (r.attempt == "" and "0" or r.attempt), 1) end
    redis.call("HINCRBY", f.q.stats, discarded and "discarded" or "expired", 1)
    r.state, r.finished = "e", whole(f.now)
    if string.find(r.flags, "n", 1, true) then
      outbox().put(f.base, r.finished, { id = id, letter = "e", run = r.run, text = "" })
    end
    if discarded or call.keep == "0" then
      finish_forget(call.bin, f.base, id, r.flags)
    else
      kept[#kept + 1] = id .. "\t" .. r.finished .. "\t" .. r.flags
      records[#records + 1] = f.base .. "job:" .. id
      records[#records + 1] = record_text(r)
    end
  end
  if tombs > 0 then redis.call("HINCRBY", f.q.stats, "tombs", tombs) end
  for from = 1, #records, look_most do
    redis.call("MSET", unpack(records, from, math.min(from + look_most - 1, #records)))
  end
  if #kept > 0 then finish_keep(call.bin, f.base, f.base .. "expired", kept, tonumber(call.keep)) end
end

-- The last of the reading half: what follows from all that was noted.
local function choose(f)
  parking_choose(f.p)
end

-- Does what was noted. Returns when the next thing falls due, of which `known` is what was known so far, and the last token;
-- `token`: the last one granted, where the caller writes that. `call`: records, log and bin of the call, and `keep`, how
-- many ended jobs are kept; not needed where nothing has expired, or was put aside.
local function write(f, known, call, token)
  if #f.expired > 0 then write_expired(f, call) end
  newer_write(f, call and call.records)
  zset_remove(f.base .. "expiring", f.out)
  zset_add(f.base .. "expiring", f.into)
  for k = 1, #f.freed, 2 do redis.call("ZREM", f.freed[k], f.freed[k + 1]) end
  token = parking_write(f.p, token)
  if f.cursor then redis.call("HSET", f.q.stats, "looked", f.cursor) end
  return queue_due(f.q, f.due, known), token
end

-- Appends the jobs that have expired to an answer of `upkeep`.
local function tell(f, answer)
  for _, job in ipairs(f.expired) do
    local values = { job.id, "expired", job.r.attempt == "" and "0" or job.r.attempt, terms_of(job.r).expires, job.head, "" }
    for _, value in ipairs(values) do answer[#answer + 1] = value end
  end
end

-- The jobs that have expired: id, head of record, id ...; and as a receipt keeps them, where \1 stands for a newline.
local function told(f)
  local list, kept = {}, {}
  for _, job in ipairs(f.expired) do
    list[#list + 1] = job.id
    list[#list + 1] = job.head
    kept[#kept + 1] = "\n" .. job.id .. "\n" .. string.gsub(job.head, "\n", "\1")
  end
  return list, table.concat(kept)
end

-- When the next job expires.
local function due(f)
  return tonumber(redis.call("ZRANGE", f.base .. "expiring", 0, 0, "WITHSCORES")[2])
end

return {
  open = open, left = left, settled = settled, starts = starts, look = look, started = started, further = further,
  expire_due = expire_due, look_after = look_after, choose = choose, write = write, tell = tell, told = told, due = due,
  beckon = newer_beckon,
}
