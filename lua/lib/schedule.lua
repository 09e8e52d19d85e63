-- @include lane
-- A schedule's state is one string:
--   version, next, due, paused, anchor, slot, at, fired, missed, skipped \t open
-- next: the slot that comes next ("" for none), due: when it fires (later by the jitter); slot, at: the last slot that fired,
-- and when it was taken. version: of the definition, "paused" included. open: firings that were taken and not yet known to
-- be dispatched, "n:at:due:slot+slot" between ";", n being the last of the slots. Times are ms of the server's clock.
local schedule_pattern = "^(%d+),(%d*),(%d*),([01]),(%d+),(%d*),(%d*),(%d+),(%d+),(%d+)\t(.*)$"

local function schedule_parse(text)
  if not text then return nil end
  local version, next, due, paused, anchor, slot, at, fired, missed, skipped, open = string.match(text, schedule_pattern)
  if not version then return nil end
  return {
    version = version, next = next, due = due, paused = paused, anchor = anchor, slot = slot, at = at, fired = fired,
    missed = missed, skipped = skipped, open = open,
  }
end

local function schedule_text(s)
  return table.concat({
    s.version, s.next, s.due, s.paused, s.anchor, s.slot, s.at, s.fired, s.missed, s.skipped,
  }, ",") .. "\t" .. s.open
end

-- Receipts are keys of their own here, which go an hour after their lane's last call. nil, "same" and the answer, or "stale".
local function schedule_heard(a)
  return lane_check(redis.call("GET", a.base .. "lane:" .. a.lane), tonumber(a.n))
end

local function schedule_answered(a, now, answer)
  redis.call("SET", a.base .. "lane:" .. a.lane, lane_receipt(a.n, whole(now), answer), "PX", 3600000)
end
