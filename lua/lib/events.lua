-- @include time
-- The task's event stream. One entry tells several jobs' transitions of one kind, made by one call:
--   e = "kind,seq,instance\nline\nline..."
-- seq numbers the first line's transition; each line is one transition, but a `failed` line with a next attempt is two
-- (failed and retrying). Fields of a line stand between tabs. An entry carries 16 KiB of text at the most, then the
-- next one begins.
local entry_bytes = 16384

local function events_begin(q, instance, maxlen, seq)
  return { q = q, instance = instance, maxlen = maxlen, seq = seq, first = seq + 1, kind = "", bytes = 0, lines = {} }
end

local function events_flush(log)
  if #log.lines == 0 then return end
  redis.call("XADD", log.q.events, "MAXLEN", "~", log.maxlen, "*", "e",
    log.kind .. "," .. whole(log.first) .. "," .. log.instance .. "\n" .. table.concat(log.lines, "\n"))
  log.lines = {}
  log.bytes = 0
end

-- Tells one line, of `transitions` (1 or 2) transitions.
local function events_tell(log, kind, line, transitions)
  if kind ~= log.kind or log.bytes + #line > entry_bytes then
    events_flush(log)
    log.kind = kind
    log.first = log.seq + 1
  end
  log.lines[#log.lines + 1] = line
  log.bytes = log.bytes + #line
  log.seq = log.seq + transitions
end
