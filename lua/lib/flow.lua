-- @include record
-- @include terms
-- @include queue
-- @include newer
-- What follows where jobs with terms (see `terms`) come and go. The reading half notes it in a table of the call's own, `f`;
-- `write` does it all, so that nothing is read after the first write. Such jobs, while they wait to be started, stand in
-- `expiring` beside the collection of their state, by the time at which they expire.

-- `version`: the newest that the worker takes; nil where nothing is claimed.
local function open(q, a, now, version)
  return {
    q = q, base = a.base, now = now, version = tonumber(version or "") or 1, out = {}, into = {}, freed = {},
    aside = {}, taken = {},
  }
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
    if how == "ended" then
      f.out[#f.out + 1] = place
    else
      f.into[#f.into + 1] = t.expires
      f.into[#f.into + 1] = place
      local at = tonumber(t.expires)
      if not f.due or at < f.due then f.due = at end
    end
  end
end

local goes = { completed = "ended", failed = "ended", cancelled = "ended", retried = "back", released = "front" }

-- Runs that are settled, as `settlement_hold` left them.
local function settled(f, items)
  for _, item in ipairs(items) do
    local how = item.held and (item.kind ~= "progress" and item.requested and "ended" or goes[item.kind])
    local flags = how and string.match(item.text, "^a,%d*,%d*,%d*,%d*,%d*,(%a*),")
    local r = flags and string.find(flags, "k", 1, true) and record_parse(item.text)
    if r then left(f, item.id, r, how) end
  end
end

-- Whether a job that waits may be claimed here; if not, it is put aside.
local function claimed(f, id, r)
  if r.terms == "" then return true end
  if not newer_fits(f, id, r) then return false end
  if terms_of(r).expires ~= "" then f.out[#f.out + 1] = record_place(id, r) end
  return true
end

-- Jobs that other workers put aside, and this one takes, are claimed before what a claim has found.
local function look(f, found, want, texts)
  newer_look(f, found, want, texts, claimed)
end

-- Does what was noted; returns when the next thing falls due, of which `known` is what was known so far. `records`: those
-- that the call writes.
local function write(f, known, records)
  newer_write(f, records)
  local expiring = f.base .. "expiring"
  if #f.out > 0 then redis.call("ZREM", expiring, unpack(f.out)) end
  if #f.into > 0 then redis.call("ZADD", expiring, unpack(f.into)) end
  for k = 1, #f.freed, 2 do redis.call("ZREM", f.freed[k], f.freed[k + 1]) end
  return queue_due(f.q, f.due, known)
end

-- When the next job expires.
local function due(f)
  return tonumber(redis.call("ZRANGE", f.base .. "expiring", 0, 0, "WITHSCORES")[2])
end

return {
  open = open, left = left, settled = settled, claimed = claimed, look = look, due = due, write = write,
  beckon = newer_beckon,
}
