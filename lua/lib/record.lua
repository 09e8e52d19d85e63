-- @include time
-- A job's record is one string, so that a batch is read by one MGET and written by one MSET:
--   hot \n outcome \n cold \n history \n headers \n data
-- hot: state, token, attempt, claimed, finished, max, flags, run. It changes with every claim and settlement, and stands
-- first so that those can rewrite it without reading the rest. outcome: result or error, JSON. cold: created, eligible,
-- priority, order, fails, stalls, life, releases, nonce. history: "attempt:claimed:ended:how:run" of earlier runs, between
-- ";"; how: f failed, s stalled, b handed back, d the last of a life that failed. headers: what observers stored, JSON. Empty fields mean 0 or none; no part holds a raw control character. finished
-- is written as the ms after claimed (after created where the job never ran), and not below 0 should the clock go back.
-- Data of more than 1 KiB lies in data:<id> (flag b) and is only read to be handed out; "\1" stands in its place here.
-- cold ends with the job's terms (see `terms`), ";" before them, where it has any; such a job carries flag k.
-- The letters of the states; any other is damage.
local hot_pattern = "^([acdefknwx]),(%d*),(%d*),(%d*),(%d*),(%d*),(%a*),([^,\n]*)\n()"
local cold_pattern = "^(%d+),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*)([^\n]*)\n()"

-- The record as a table; nil when it is damaged.
local function record_parse(text)
  local state, token, attempt, claimed, finished, max, flags, run, at = string.match(text, hot_pattern)
  local cold = state and string.find(text, "\n", at, true)
  if not cold then return nil end
  local created, eligible, priority, order, fails, stalls, life, releases, nonce, terms, rest =
    string.match(text, cold_pattern, cold + 1)
  local body = created and string.find(text, "\n", rest, true)
  if not body or not string.find(text, "\n", body + 1, true) then return nil end
  if finished ~= "" then finished = whole(finished + (claimed == "" and created or claimed)) end
  return {
    state = state, token = token, attempt = attempt, claimed = claimed, finished = finished, max = max, flags = flags,
    run = run, outcome = string.sub(text, at, cold - 1), created = created, eligible = eligible, priority = priority,
    order = order, fails = fails, stalls = stalls, life = life, releases = releases, nonce = nonce,
    terms = terms, history = string.sub(text, rest, body - 1), body = string.sub(text, body + 1),
  }
end

local function record_text(r)
  local finished = r.finished
  if finished ~= "" then finished = whole(math.max(0, finished - (r.claimed == "" and r.created or r.claimed))) end
  return table.concat({ r.state, r.token, r.attempt, r.claimed, finished, r.max, r.flags, r.run }, ",") .. "\n"
    .. r.outcome .. "\n"
    .. table.concat({
      r.created, r.eligible, r.priority, r.order, r.fails, r.stalls, r.life, r.releases, r.nonce,
    }, ",") .. r.terms .. "\n" .. r.history .. "\n" .. r.body
end

-- The record of a job that waits for its first run, as a table. `body`: headers \n data.
local function record_new(created, body)
  return {
    state = "w", token = "", attempt = "", claimed = "", finished = "", max = "", flags = "", run = "", outcome = "",
    created = created, eligible = "", priority = "", order = "", fails = "", stalls = "", life = "", releases = "",
    nonce = "", terms = "", history = "", body = body,
  }
end

-- A stand-in for a record that cannot be read, so that its job can be claimed and fail in the open (flag d).
local function record_damaged()
  local r = record_new("0", "\n")
  r.flags = "d"
  return r
end

-- The same for a job that runs: what can be said of it is its lease.
local function record_repaired(token, time)
  local r = record_damaged()
  r.state, r.token, r.attempt, r.claimed, r.max, r.created = "a", token, "1", time, "1", time
  return r
end

-- All but the data: what telemetry needs of a job.
local function record_head(text)
  return string.match(text, "^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n") or ""
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
