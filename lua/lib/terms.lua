-- The terms on which a job may run, for jobs that have any: `r.terms` is
--   ;expires,discard,limit,version \t concurrency key \t dedupe key
-- expires: server ms by which it must have started; discard "1": it then leaves no trace; limit: how many jobs of its
-- concurrency key may be active; version: of its data. Empty fields mean none. Keys hold no control characters.
local function terms_text(t)
  return ";" .. table.concat({ t.expires or "", t.discard or "", t.limit or "", t.version or "" }, ",") .. "\t"
    .. (t.key or "") .. "\t" .. (t.dedupe or "")
end

-- Gives a record its terms, or others than it had.
local function terms_set(r, t)
  r.terms = terms_text(t)
  if not string.find(r.flags, "k", 1, true) then r.flags = r.flags .. "k" end
end
