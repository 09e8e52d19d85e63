-- @include terms
-- @lazy gates
-- What `enqueue` needs where a throttle or a deduplication is all that jobs have of options: their records are those of plain
-- jobs, but for the key of a deduplication at the end of their third line.
local gated_head, gated_apart = "w,,,,,,k,\n\n", "w,,,,,,bk,\n\n"

-- The gate that such options name; nil for any others.
local function gate_of(options)
  local most, window, key = string.match(options, "^0,0,0\nr (%d+),(%d+),([^\n]+)$")
  if most then return { kind = "throttle", key = key, most = tonumber(most), window = tonumber(window) } end
  local states
  states, key = string.match(options, "^0,0,0\nu ([wda]+),([^\n]+)$")
  return states and { kind = "dedupe", key = key, states = states } or nil
end

-- Stores the jobs; returns how many, and the answer; nil, and nothing is done, where one has other options. `created`: now.
local function store(q, a, argv, first, now, created)
  local known, keys = {}, {}
  for i = first + 1, #argv, 3 do
    local options = argv[i]
    if options ~= "" and not known[options] then
      local gate = gate_of(options)
      if not gate then return nil end
      known[options] = gate
      if gate.kind == "dedupe" then keys[#keys + 1] = gate.key end
    end
  end
  local made = gates()
  made.dedupe_free(a, keys)
  local cold = created .. ",,,,,,,,"
  local terms = cold .. terms_text({ dedupe = "" })
  local records, ids, words, notes, n, special = {}, {}, {}, {}, 0, false
  for i = first, #argv, 3 do
    local id, gate = argv[i], known[argv[i + 1]]
    local word, note, ending = "s", nil, nil
    if gate then
      if gate.kind == "throttle" then
        word, note = made.throttle(a, gate, now)
      else
        word, note = made.dedupe(a, gate, id, "w")
        ending = gate.key
      end
    end
    words[#words + 1] = word
    if note then
      notes[#notes + 1] = "\n" .. note
    else
      n = n + 1
      ids[n] = id
      local body, data = newcomer_body(argv[i + 2])
      local text
      if ending then
        special = true
        text = (data and gated_apart or gated_head) .. terms .. ending .. "\n\n" .. body
      else
        text = (data and fresh_apart or fresh_head) .. cold .. "\n\n" .. body
      end
      newcomer_add(records, a.base, id, text, data)
    end
  end
  if n > 0 then
    -- One of another type must show before the first write.
    redis.call("LLEN", q.waiting)
    redis.call("ZCARD", q.wake)
    newcomer_store(records)
    if redis.call("LPUSH", q.waiting, unpack(ids)) == n then redis.call("ZADD", q.wake, 0, "w") end
    made.write(q, a, now)
    if special then redis.call("HSET", q.stats, "terms", "1") end
  end
  return n, table.concat(words) .. table.concat(notes)
end

return { store = store }
