-- @include time
-- The task's event stream. One entry tells the transitions that one call made, in their order:
--   e = "seq,instance\nline\nline..."
-- seq numbers the first transition. A line begins with the letter of its kind and stands for one transition, but a failure
-- with a next attempt for two (failed and retrying); its fields stand between tabs. An entry carries 16 KiB of text at
-- the most, then the next one begins.
--   a id, attempt, created, eligible (empty: when created)      c id, attempt and claim time, duration, result (=text, ~ where too long)
--   p id, value      f id, attempt, claim time, next attempt, message      s id, count, action      x id, reason
--   w id, how a workflow ended (c f x), name, duration, result, message or reason
--   v id: lives again after it failed; no event for listeners, but what came before it belongs to another life
local entry_bytes = 16384

-- `stream`: its key.
local function events_begin(stream, instance, maxlen, seq)
  return { stream = stream, instance = instance, maxlen = maxlen, seq = seq, first = seq + 1, bytes = 0, lines = {} }
end

local function events_flush(log)
  if #log.lines == 0 then return end
  redis.call("XADD", log.stream, "MAXLEN", "~", log.maxlen, "*", "e",
    whole(log.first) .. "," .. log.instance .. "\n" .. table.concat(log.lines, "\n"))
  log.lines = {}
  log.bytes = 0
  log.first = log.seq + 1
end

-- Tells one line, of `transitions` (1 or 2) transitions.
local function events_tell(log, line, transitions)
  local lines, bytes = log.lines, log.bytes + #line
  if bytes > entry_bytes and #lines > 0 then
    events_flush(log)
    lines, bytes = log.lines, #line
  end
  lines[#lines + 1] = line
  log.bytes = bytes
  log.seq = log.seq + transitions
end
