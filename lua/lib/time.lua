-- The server's clock, in whole ms. One call a script: Redis freezes it while a script runs.
local function server_time()
  local t = redis.call("TIME")
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A whole number as text; tostring would write 1e+16 on Lua 5.1 and 5.0 on 5.4.
local function whole(number)
  return string.format("%d", number)
end
