-- @include record
-- What `claim` needs for jobs with a priority, a name or a past, for damaged records, and for repeated calls.

-- The job that stands at a place, if it may be claimed from there.
local function job(place, text, ranks)
  local r = text and (record_parse(text) or record_damaged())
  if not r or r.state ~= "w" then return nil end
  if r.flags ~= "d" and (record_place(string.match(place, "^[^\t]*"), r) ~= place or (r.order ~= "") ~= ranks) then
    return nil
  end
  return { r = r }
end

-- Leases a job whose record was taken apart; returns its new text.
local function lease(taken, token, max, call)
  local r = taken.r
  r.state, r.token, r.claimed, r.max = "a", token, call.time, max
  r.attempt = whole((tonumber(r.fails) or 0) + 1)
  events_tell(call.log, "active", taken.id .. "\t" .. r.attempt .. "\t" .. r.created .. "\t" .. record_eligible(r), 1)
  return record_text(r)
end

-- Answers a repeated call: the same words, and the claimed jobs, with an empty record where the job is no longer held
-- under the token that was granted.
local function again(q, a, now, answer)
  local words, seq, more, token, ids, reasons = string.match(answer, "^(%a*)\n(%d+)\n(%d*)\n(%d+)\n([^\n]*)\n(.*)$")
  local reply = { "settled", now, words, seq, redis.call("HGET", q.stats, "due") or "", more, reasons }
  for id in string.gmatch(ids, "[^\t]+") do
    token = token + 1
    local text = redis.call("GET", a.base .. "job:" .. id)
    local r = text and record_parse(text)
    local held = r and r.state == "a" and tonumber(r.token) == token
    reply[#reply + 1] = id
    reply[#reply + 1] = held and text or ""
  end
  return reply
end

return { job = job, lease = lease, again = again }
