-- @include record
-- What `claim` needs for jobs with a priority, a name or a past, for damaged records, and for repeated calls.

-- The job that stands at a place, if it may be claimed from there.
local function job(place, text, ranks)
  local r = text and (record_parse(text) or record_damaged())
  if not r or r.state ~= "w" then return nil end
  if r.flags ~= "d" and (record_place(string.match(place, "^[^\t]*"), r) ~= place or (r.order ~= "") ~= ranks) then
    return nil
  end
  return { r = r, apart = string.find(r.flags, "b", 1, true) ~= nil }
end

-- Leases a job whose record was taken apart; returns its new text.
local function lease(taken, token, max, call)
  local r = taken.r
  r.state, r.token, r.claimed, r.max = "a", token, call.time, max
  r.attempt = whole((tonumber(r.fails) or 0) + 1)
  events_tell(call.log, "a" .. taken.id .. "\t" .. r.attempt .. "\t" .. r.created .. "\t" .. r.eligible, 1)
  return record_text(r)
end

-- Whether nobody holds a job of the task but the runs that end with this call.
local function alone(q, items)
  local leaving = 0
  for _, item in ipairs(items) do
    if item.held and item.kind ~= "progress" then leaving = leaving + 1 end
  end
  return redis.call("ZCARD", q.active) == leaving
end

-- The record of a job, and its data where that lies apart; an empty record where it is no longer held under the token.
local function held(a, id, token)
  local text = redis.call("MGET", a.base .. "job:" .. id)[1]
  local r = text and record_parse(text)
  if not r or r.state ~= "a" or tonumber(r.token) ~= tonumber(token) then return "" end
  if not string.find(r.flags, "b", 1, true) then return text end
  return text, redis.call("MGET", a.base .. "data:" .. id)[1]
end

-- Answers a repeated call: the same words, and the claimed jobs as far as they are still held.
local function again(q, a, now, answer)
  local words, seq, more, token, ids, reasons, expired =
    string.match(answer, "^(%a*)\n(%d+)\n(%d*)\n(%d+)\n([^\n]*)\n([^\n]*)\n?(.*)$")
  local reply = { "settled", now, words, seq, redis.call("HGET", q.stats, "due") or "", more, reasons }
  if expired ~= "" then
    reply[1], reply[8] = "expired", {}
    for part in string.gmatch(expired, "[^\n]+") do table.insert(reply[8], (string.gsub(part, "\1", "\n"))) end
  end
  for id in string.gmatch(ids, "[^\t]+") do
    token = token + 1
    local text, data = held(a, id, token)
    reply[#reply + 1] = id
    reply[#reply + 1] = text
    if data ~= nil then reply[#reply + 1] = data end
  end
  return reply
end

local leap_tokens = 1048576

-- The last token granted, for a lane that comes back or has never called. A server that took over from another one, or
-- came back without all of its data, knows nothing of the last claims there, whose runs go on: what it grants must lie
-- beyond their tokens, or such a run could settle the job under the token of the next one.
local function leap(a, token, now)
  local last = tonumber(token or 0)
  if last > 0 then return last + leap_tokens end
  -- Nothing was ever granted here, to nobody, or all was lost.
  return tonumber(a.n) > 1 and math.floor(now / 1000) * 1024 or 0
end

return { job = job, lease = lease, alone = alone, held = held, again = again, leap = leap }
