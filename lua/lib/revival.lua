-- @include record
-- @include terms
-- Another life for a job that failed. Its place among those that wait is the caller's to give.
local function revival_begin(bin, base, id, r, time)
  if r.claimed ~= "" then record_remember(r, tonumber(r.finished), "d") end
  if string.find(r.flags, "p", 1, true) then bin.gone[#bin.gone + 1] = base .. "progress:" .. id end
  r.flags = string.gsub(r.flags, "[pv]", "") .. "v"
  r.state, r.attempt, r.claimed, r.finished, r.max, r.outcome = "w", "", "", "", "", ""
  r.eligible, r.life, r.fails, r.stalls, r.releases, r.order = time, time, "", "", "", ""
  -- Whoever retries it by hand wants it to run: its time to live was that of the life before.
  r.terms = string.gsub(r.terms, "^;%d*,%d*,", ";,,")
end

-- The key under which others give way to the job while it lives, or nil.
local function revival_key(base, r)
  local dedupe = r.terms ~= "" and terms_of(r).dedupe or ""
  return dedupe ~= "" and base .. "dedupe:" .. dedupe or nil
end
