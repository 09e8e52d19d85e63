-- @include record
-- @include terms
-- @include queue
-- Jobs of a version above the worker's that found them. They wait in `newer`, state n, seen by workers that take them and by
-- no others; the marker <version>:wake is for workers of just this version. Score: version times 2^32, and the number under
-- which the job came here, modulo 2^32; versions go up to 10^6, so it is always exact.
local newer_band = 4294967296

local function newer_limit(version)
  return "(" .. string.format("%.0f", (version + 1) * newer_band)
end

-- Whether this worker takes the job; if not, `newer_write` puts it aside.
local function newer_fits(f, id, r)
  local version = tonumber(terms_of(r).version) or 1
  if version <= f.version then return true end
  f.aside[#f.aside + 1] = { id = id, r = r, version = version }
  return false
end

-- How many of the ranked jobs that a claim has found come before one of a priority.
local function newer_outranked(found, texts, priority)
  for k = 1, found.ranked do
    local text = texts[found.at + k]
    local r = text and record_parse(text)
    if not r or (tonumber(r.priority) or 0) <= priority then return k - 1 end
  end
  return found.ranked
end

-- Finds up to `want` jobs that others put aside, for this worker to claim; `admits`: whether one of them may be started.
local function newer_look(f, found, want, texts, admits)
  if f.version < 2 then return end
  local places = redis.call("ZRANGE", f.base .. "newer", "-inf", newer_limit(f.version), "BYSCORE", "LIMIT", 0, want)
  if #places == 0 then return end
  local jobs, keys, ids = found.jobs, {}, {}
  for k, place in ipairs(places) do
    ids[k] = string.match(place, "^[^\t]*")
    keys[k] = f.base .. "job:" .. ids[k]
  end
  local records = redis.call("MGET", unpack(keys))
  f.left_aside = #places == want
  for k, place in ipairs(places) do
    local r = records[k] and (record_parse(records[k]) or record_damaged())
    if r and r.flags ~= "d" and (r.state ~= "n" or record_place(ids[k], r) ~= place) then r = nil end
    if r and #jobs + newer_outranked(found, texts, tonumber(r.priority) or 0) >= want then
      f.left_aside = true
      break
    end
    f.taken[#f.taken + 1] = place
    if r and admits(f, ids[k], r) then
      local apart = string.find(r.flags, "b", 1, true) ~= nil
      if apart then
        found.apart = found.apart or {}
        found.apart[#found.apart + 1] = f.base .. "data:" .. ids[k]
      end
      jobs[#jobs + 1] = { r = r, apart = apart, key = keys[k], id = ids[k] }
    end
  end
  if f.left_aside then found.more = true end
end

-- No worker of this version may ever come to take the marker: it goes by itself.
local function newer_wake(f, version)
  local wake = f.base .. whole(version) .. ":wake"
  redis.call("ZADD", wake, 0, "w")
  redis.call("PEXPIRE", wake, 3600000)
end

-- `records`: those that the call writes.
local function newer_write(f, records)
  if #f.taken > 0 then redis.call("ZREM", f.base .. "newer", unpack(f.taken)) end
  if #f.aside == 0 then return end
  local order, scored, versions = queue_orders(f.q, #f.aside), {}, {}
  for k, job in ipairs(f.aside) do
    job.r.state = "n"
    scored[#scored + 1] = string.format("%.0f", job.version * newer_band + (order + k) % newer_band)
    scored[#scored + 1] = record_place(job.id, job.r)
    records[#records + 1] = f.base .. "job:" .. job.id
    records[#records + 1] = record_text(job.r)
    versions[job.version] = true
  end
  redis.call("ZADD", f.base .. "newer", unpack(scored))
  for version in pairs(versions) do newer_wake(f, version) end
end

-- Wakes a worker of this version, where jobs wait here for one. True where it did.
local function newer_beckon(f)
  if f.version < 2 then return false end
  local head = redis.call("ZRANGE", f.base .. "newer", "-inf", newer_limit(f.version), "BYSCORE", "LIMIT", 0, 1)
  if #head == 0 then return false end
  newer_wake(f, f.version)
  return true
end
