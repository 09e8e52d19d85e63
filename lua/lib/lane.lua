-- @include time
-- Receipts. Every writing call carries a lane (one per caller and kind of work) and a number n that rises in it.
-- The field "lane:<lane>" of the stats hash keeps "n time\nanswer" of the lane's last call, so that the same call sent
-- again is answered again, and an older one that arrives late changes nothing.

-- nil: this call is new. Otherwise "same" and the saved answer, or "stale".
local function lane_check(receipt, n)
  if not receipt then return nil end
  local last = tonumber(string.match(receipt, "^%d+"))
  if not last or n > last then return nil end
  if n < last then return "stale" end
  return "same", string.sub(receipt, string.find(receipt, "\n", 1, true) + 1)
end

-- `time`: now, as text.
local function lane_receipt(n, time, answer)
  return n .. " " .. time .. "\n" .. answer
end
