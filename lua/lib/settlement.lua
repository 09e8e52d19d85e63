-- @include events
-- @include finish
-- @lazy settlement_rare
-- @lazy outbox
-- @lazy flow
-- The settling half of `settle`: reads which runs are still held, takes them out of the active set, writes what became of
-- them. Completion is the usual case and is written here; the others stand in settlement_rare, made only when needed.
local settlement_fields = 6
-- What the body of each kind must look like.
local settlement_bodies = {
  completed = "", failed = "^[^\n]*\n", retried = "^%d+\n[^\n]*\n", cancelled = "", released = "", progress = "",
}

-- Reads the settlements from `first` on; adds the keys of their records to `keys`.
local function settlement_read(a, argv, first, keys)
  local items, k, base = {}, 0, a.base .. "job:"
  for i = first, #argv, settlement_fields do
    k = k + 1
    local id, pattern = argv[i], settlement_bodies[argv[i + 2]]
    if not pattern or pattern ~= "" and not string.find(argv[i + 5], pattern) then
      error("the settlement of job " .. id .. " as " .. argv[i + 2] .. " cannot be read")
    end
    local key = base .. id
    keys[k] = key
    items[k] = {
      id = id, key = key, token = argv[i + 1], kind = argv[i + 2], duration = argv[i + 3], run = argv[i + 4],
      body = argv[i + 5],
    }
  end
  return items
end

-- Notes which runs are still held: their token is the last one granted.
local function settlement_hold(q, items, texts, requests)
  local ended = {}
  for i = 1, #items do
    local item, text = items[i], texts[i]
    local head = "a," .. item.token .. ","
    if text and string.sub(text, 1, #head) == head and not ended[item.id] then
      item.held, item.text = true, text
      ended[item.id] = item.kind ~= "progress"
    end
  end
  if requests and #items > 0 then settlement_rare().read_requests(q, items) end
end

-- Takes the ended runs out of the active set. ZREM lets the rest of the script through on a full server, and fails where the
-- set is none, before any job was taken from its place to be put into it: so it is always called.
local function settlement_leave(q, items, requests)
  local members, n = {}, 0
  for k = 1, #items do
    local item = items[k]
    if item.held and item.kind ~= "progress" then
      n = n + 1
      members[n] = item.id .. "\t" .. item.token
    end
  end
  if n == 0 then members[1] = "" end
  redis.call("ZREM", q.active, unpack(members))
  if requests then settlement_rare().drop_requests(q, items) end
end

local completed_pattern = "^a,%d+,(%d+),(%d+),,(%d*),(%a*),([^\n]*)\n()"

-- Only the hot line and the outcome of the record change, so it is not taken apart.
local function settlement_completed(call, a, item)
  local id, run, body = item.id, item.run, item.body
  local attempt, claimed, max, flags, ran_as, at = string.match(item.text, completed_pattern)
  local cold = attempt and string.find(item.text, "\n", at, true)
  if not cold then
    item.text = settlement_rare().repaired(call, item)
    attempt, claimed, max, flags, ran_as, at = string.match(item.text, completed_pattern)
    cold = string.find(item.text, "\n", at, true)
  end
  if call.opened then
    local r = call.opened[id]
    if r then flags = r.flags end
  end
  if run == "" then run = ran_as end
  local ran = attempt .. "," .. claimed
  local told, outcome = body == "" and "" or "=" .. body, body
  if #body > call.inline then
    redis.call("SET", a.base .. "result:" .. id, body)
    flags, told, outcome = flags .. "r", "~", ""
  end
  events_tell(call.log, "c" .. id .. "\t" .. ran .. "\t" .. item.duration .. "\t" .. told, 1)
  call.completed = call.completed + 1
  if flags ~= "" and string.find(flags, "n", 1, true) then
    outbox().put(a.base, call.time, { id = id, letter = "c", run = run, text = body })
  end
  if a.keepCompleted == "0" then
    finish_forget(call.bin, a.base, id, flags)
    return
  end
  local kept, records = call.kept, call.records
  kept[#kept + 1] = id .. "\t" .. call.time .. "\t" .. flags
  local n = #records
  records[n + 1] = item.key
  records[n + 2] = "c," .. item.token .. "," .. ran .. "," .. whole(math.max(0, call.now - claimed)) .. "," .. max .. "," .. flags .. "," .. run .. "\n"
    .. outcome .. string.sub(item.text, cold)
end

-- Writes what became of each run; `call` gathers what is written once for all. Returns the letters.
local function settlement_write(q, a, items, call)
  local words = ""
  for k = 1, #items do
    local item = items[k]
    if not item.held then
      words = words .. "l"
    elseif item.kind == "completed" and not item.requested then
      words = words .. "c"
      settlement_completed(call, a, item)
    else
      words = words .. settlement_rare().settle(call, a, item)
    end
  end
  if call.rare then settlement_rare().write(q, a, call) end
  if #call.kept > 0 then finish_keep(call.bin, a.base, q.completed, call.kept, tonumber(a.keepCompleted)) end
  return words
end
