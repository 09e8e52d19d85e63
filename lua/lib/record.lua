-- @include time
-- A job's record is one string, so that a batch is read by one MGET and written by one MSET:
--   header \n history \n outcome \n headers \n data
-- header: 17 fields between commas, empty ones meaning 0 or none. history: "attempt:claimed:ended:how:run" of earlier
-- runs, between ";". outcome: result or error, JSON. headers: what observers stored, JSON. data is last, for it may be
-- long and is never searched. No part holds a raw control character.
local record_pattern = "^(%a),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%a*),([^,\n]*)\n"

-- The record as a table; nil when it is damaged.
local function record_parse(text)
  local state, created, eligible, priority, order, fails, attempt, stalls, token, claimed, finished, max, life,
    releases, nonce, flags, run = string.match(text, record_pattern)
  if not state then return nil end
  local first = string.find(text, "\n", 1, true)
  local second = string.find(text, "\n", first + 1, true)
  local third = second and string.find(text, "\n", second + 1, true)
  if not third or not string.find(text, "\n", third + 1, true) then return nil end
  return {
    state = state, created = created, eligible = eligible, priority = priority, order = order, fails = fails,
    attempt = attempt, stalls = stalls, token = token, claimed = claimed, finished = finished, max = max, life = life,
    releases = releases, nonce = nonce, flags = flags, run = run,
    history = string.sub(text, first + 1, second - 1),
    outcome = string.sub(text, second + 1, third - 1),
    body = string.sub(text, third + 1),
  }
end

local function record_text(r)
  return table.concat({
    r.state, r.created, r.eligible, r.priority, r.order, r.fails, r.attempt, r.stalls, r.token, r.claimed, r.finished,
    r.max, r.life, r.releases, r.nonce, r.flags, r.run,
  }, ",") .. "\n" .. r.history .. "\n" .. r.outcome .. "\n" .. r.body
end

-- What stands for the job while it waits: the id, and for ids that users chose (and may choose again) a nonce too, so
-- that what is left of an earlier life is not taken for the job.
local function record_place(id, r)
  if r.nonce ~= "" then return id .. "\t" .. r.nonce end
  return id
end

-- When the job became able to run; stored only where it differs from its creation.
local function record_eligible(r)
  if r.eligible == "" then return r.created end
  return r.eligible
end

local history_most = 19

-- Moves the run that is ending into the history, of which the last runs are kept.
local function record_remember(r, now, how)
  local entry = r.attempt .. ":" .. r.claimed .. ":" .. whole(now) .. ":" .. how .. ":" .. r.run
  if r.history == "" then
    r.history = entry
    return
  end
  local _, entries = string.gsub(r.history, ";", ";")
  if entries + 1 >= history_most then r.history = string.match(r.history, ";(.*)$") end
  r.history = r.history .. ";" .. entry
end

-- A stand-in for a record that cannot be read, so that its job can be claimed and fail in the open (flag d).
local function record_damaged()
  return {
    state = "w", created = "0", eligible = "", priority = "", order = "", fails = "", attempt = "", stalls = "",
    token = "", claimed = "", finished = "", max = "", life = "", releases = "", nonce = "", flags = "d", run = "",
    history = "", outcome = "", body = "\n",
  }
end
