-- The terms on which a job may run, for jobs that have any: `r.terms` is
--   ;expires,discard,limit,version,turn \t concurrency key \t dedupe key
-- expires: server ms by which it must have started; discard "1": it then leaves no trace; limit: how many jobs of its
-- concurrency key may be active; version: of its data; turn: orders the jobs of its key by their dispatch. Empty fields
-- mean none. Keys hold no control characters. Flag k says that there are terms; the stats field `terms`, that the task
-- has ever had a job with any.
local function terms_text(t)
  return ";" .. table.concat({ t.expires or "", t.discard or "", t.limit or "", t.version or "", t.turn or "" }, ",")
    .. "\t" .. (t.key or "") .. "\t" .. (t.dedupe or "")
end

-- Gives a record its terms, or others than it had.
local function terms_set(r, t)
  r.terms = terms_text(t)
  if not string.find(r.flags, "k", 1, true) then r.flags = r.flags .. "k" end
end

-- A record's terms as a table, its fields text; all empty where there are none.
local function terms_of(r)
  local expires, discard, limit, version, turn, key, dedupe =
    string.match(r.terms, "^;(%d*),(%d*),(%d*),(%d*),?(%d*)\t([^\t]*)\t([^\t]*)$")
  return {
    expires = expires or "", discard = discard or "", limit = limit or "", version = version or "", turn = turn or "",
    key = key or "", dedupe = dedupe or "",
  }
end
