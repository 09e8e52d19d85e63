import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { redisAvailable } from "../../support/redis-server.ts"
import { type Host, memoryHost, redisHost, source } from "./hosts.ts"

/** Scripts that both hosts must answer alike. Each gets one key, which holds nothing, and the arguments given. */
const alike: Record<string, string | readonly [text: string, ...args: string[]]> = {
  "strings and numbers": "return { 'a', 1, 2.9, -2.9, '2.9', 0 }",
  "true, false and what ends an array": "return { true, false, 1, nil, 2 }",
  "false alone": "return false",
  nothing: "local x = 1",
  "nested tables": "return { { 1, { 'a', {} } }, { { false } } }",
  "a table without an array": "return { a = 1 }",
  "a function": "return function() end",
  "large and odd numbers": "return { 2 ^ 53, -2 ^ 31, 1 / 0 - 1 / 0 ~= 0 }",
  "an error table": "return { err = 'MYCODE of my own' }",
  "an error reply": "return redis.error_reply('MYCODE of my own')",
  "an error reply of one word": "return redis.error_reply('word')",
  "an error reply with a dash": "return redis.error_reply('-MYCODE dashed')",
  "an error reply of nothing": "return redis.error_reply()",
  "a status": "return redis.status_reply('FINE')",
  "a status table": "return { ok = 'GOOD' }",
  "a status that is no string": "return { ok = 3 }",
  "an error raised": "error('boom')",
  "an error raised without a place": "error('boom', 0)",
  "an error raised as a table": "error({ err = 'MYCODE raised' })",
  "an error raised on a later line": "local x = 1\n\nerror('boom')",
  "an error raised in a function": "local function f()\n error('deep')\nend\n\nf()",
  "an error caught": "local ok, e = pcall(error, 'boom') return { ok, e }",
  "an error of a call": "redis.call('SET', KEYS[1], 'x')\nreturn redis.call('LPUSH', KEYS[1], 'x')",
  "an error of a call, caught":
    "redis.call('SET', KEYS[1], 'x') local ok, e = pcall(redis.call, 'LPUSH', KEYS[1], 'x') return { ok, e }",
  "error tables caught": `
    local t = {}
    for i, thrown in ipairs({ { err = 'A b' }, { err = 5 }, { other = 1 } }) do
      local ok, e = pcall(error, thrown)
      t[i] = { ok, type(e) }
    end
    return t`,
  "results of a function that is called safely":
    "return { pcall(function(...) return #{ ... }, 'x' end, 1, 2) }",
  "xpcall sees the table":
    "return { xpcall(function() redis.call('NOSUCH') end, function(e) return type(e) .. e.err end) }",
  "an error of a pcall":
    "redis.call('SET', KEYS[1], 'x') local e = redis.pcall('INCR', KEYS[1]) return { type(e), e.err, e.ignore_error_stats_update }",
  "an error of a pcall, returned": "redis.call('SET', KEYS[1], 'x') return redis.pcall('INCR', KEYS[1])",
  "writes before an error stay":
    "redis.call('SET', KEYS[1], 'x') pcall(redis.call, 'INCR', KEYS[1]) return redis.call('GET', KEYS[1])",
  "an unknown command": "return redis.call('NOSUCH', KEYS[1])",
  "too few words": "return redis.call('GET')",
  "no words": "return redis.call()",
  "a word that is a table": "return redis.call('GET', {})",
  "a word that is nil": "return redis.call('GET', nil)",
  "a word that is a boolean": "return redis.call('GET', true)",
  "replies as Lua sees them": `
    local t = {}
    local function see(v)
      if type(v) == 'table' then
        if v.ok then t[#t + 1] = 'ok:' .. v.ok else for _, x in ipairs(v) do see(x) end t[#t + 1] = #v end
      else t[#t + 1] = type(v) .. ':' .. tostring(v) end
    end
    see(redis.call('SET', KEYS[1], 'v'))
    see(redis.call('GET', KEYS[1]))
    see(redis.call('GET', KEYS[1] .. ':none'))
    see(redis.call('STRLEN', KEYS[1]))
    see(redis.call('TYPE', KEYS[1]))
    see(redis.call('MGET', KEYS[1], KEYS[1] .. ':none', KEYS[1]))
    redis.call('DEL', KEYS[1])
    redis.call('XADD', KEYS[1], '1-1', 'e', 'x')
    see(redis.call('XRANGE', KEYS[1], '-', '+'))
    see(redis.call('LPOP', KEYS[1] .. ':none', 2))
    see(redis.call('SET', KEYS[1], 'v', 'NX'))
    return t`,
  "numbers as words": `
    local t = {}
    for i, n in ipairs({ 1, -1, 0.1, 10 / 2, 7 / 2, 1e15, 2 ^ 53, 1e17, 1e-5, 1e300, 123456789.125, 1 / 3 }) do
      redis.call('SET', KEYS[1], n)
      t[i] = redis.call('GET', KEYS[1])
    end
    return t`,
  "infinite numbers as words":
    "redis.call('ZADD', KEYS[1], 1 / 0, 'a', -1 / 0, 'b', 0.1, 'c') return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
  "unicode and bytes": [
    "return { ARGV[1], #ARGV[1], ARGV[1]:sub(1, 2), string.byte(ARGV[1], 1, -1) }",
    "ü€😀",
  ],
  NUL: ["redis.call('SET', KEYS[1], ARGV[1]) return { redis.call('GET', KEYS[1]), #ARGV[1] }", "a\0b\0"],
  "bytes that are no UTF-8": "return #('\\255\\254' .. redis.sha1hex('\\255\\0x'))",
  sha1hex: ["return redis.sha1hex(ARGV[1])", "ü\0"],
  "a new global": "x = 1",
  "an unknown global": "return x",
  "changing redis": "redis.call = 1",
  "changing a library": "string.format = nil",
  "no os, io, require": "return { os and 1 or 0 }",
  "no io": "return io.open('x')",
  "no require": "return require('x')",
  "a script that does not compile": "return return",
  "KEYS and ARGV": ["return { #KEYS, #ARGV, ARGV[1], ARGV[3] or 'none' }", "a", ""],
  unpack: "return { unpack({ 1, 2, 3 }, 2), (unpack({ 'a' })) }",
  "many results of unpack": "return #{ unpack(redis.call('LRANGE', KEYS[1], 0, -1)) }",
  "a version": "return _VERSION",

  // Redis runs Lua 5.1, the embedded engine 5.4: each difference that is made up for.
  "5.1: %d of a fraction": "return string.format('%d %i %x', 3.7, -3.7, 255.5)",
  "5.1: %d of a whole float": "return ('%d|%5d|%-3d|%%'):format(10 / 2, 4 / 2, 6 / 3)",
  "5.1: %d of a numeral": "return string.format('%d', '3.7')",
  "5.1: %s of a whole float": "return string.format('%s|%s|%s', 10 / 2, 2 ^ 53, 0.1)",
  "5.1: %.0f, %g, %q": "return string.format('%.0f %.17g %g %q', 10 / 2, 0.1, 1e20, 'a\"b')",
  "5.1: tostring": `
    local t = {}
    for i, n in ipairs({ 10 / 2, 0.1, 1e14, 1e13, 2 ^ 53, 123456789012345, -1e15, 1e100, 1 / 0, 1 / 3, 5 }) do t[i] = tostring(n) end
    return t`,
  "5.1: tonumber, then ..":
    "return tonumber('5.0') .. '|' .. tonumber('1e3') .. '|' .. tonumber('ff', 16) .. '|' .. tonumber(' 7 ')",
  "5.1: tonumber of no number": "return { tonumber('x') == nil, tonumber('') == nil, tonumber('5x') == nil }",
  "5.1: math.floor, then ..":
    "return math.floor(10 / 2) .. '|' .. math.floor(7 / 2) .. '|' .. math.max(3, 2)",
  "5.1: table.concat of floats":
    "return table.concat({ 10 / 2, 'x', 2 ^ 53, 0.5 }, ',') .. table.concat({ 1, 2, 3 }, '-', 2)",
  "5.1: strings in arithmetic": "return { '10' * 2 .. '', '3' + 4, '7' % 4 }",
  "5.1: unpack of 8000":
    "local t = {} for i = 1, 8000 do t[i] = i end local ok, e = pcall(unpack, t) return { ok, e, #{ unpack(t, 1, 7997) } }",
  "5.1: math.pow and mod": "return { math.pow(2, 10), math.fmod(7, 3), 7 % -3 }",
  "5.1: no table.unpack": "return table.unpack and 1 or 0",
  "5.1: no utf8": "return utf8",
  "5.1: no string.pack": "return string.pack and 1 or 0",
  "5.1: no math.type": "return math.type and 1 or 0",
}

describe.skipIf(!redisAvailable())("a script answers alike on both hosts", () => {
  let memory: Host
  let redis: Host
  const key = `taskora-test:${process.pid}:script`

  beforeAll(async () => {
    memory = await memoryHost()
    redis = await redisHost()
  })
  afterAll(async () => {
    await memory.close()
    await redis.close()
  })

  test.each(Object.entries(alike))("%s", async (_name, script) => {
    const [text, ...args] = typeof script === "string" ? [script] : script
    const answers = []
    for (const host of [memory, redis]) {
      await host.commands([["DEL", key]])
      answers.push(await host.script(text!, [key], args))
      await host.commands([["DEL", key]])
    }
    expect(answers[0]).toEqual(answers[1])
  })
})

describe("the Lua VM", () => {
  test("the operator .. writes whole floats as 5.4 does", async () => {
    const memory = await memoryHost()
    expect(await memory.script("return 10 / 2 .. ''", [], [])).toEqual({ reply: "5.0" })
  })

  test("keeps no memory of what has run", async () => {
    const { store } = await memoryHost()
    const text =
      "local t = {} for i = 1, 50 do t[i] = ARGV[1] .. i end redis.call('SET', KEYS[1], t[50]) return t"
    const script = source(text)
    for (let round = 0; round < 200; round++) await store.run(script, ["k"], ["x".repeat(1000)])
    const before = process.memoryUsage().arrayBuffers
    for (let round = 0; round < 5000; round++) await store.run(script, ["k"], [`${round}`.repeat(300)])
    // Lua's memory never shrinks, so that it has not grown shows that garbage was collected on the way.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4_000_000)
  })

  test("survives an error that is deep in calls, many times", async () => {
    const memory = await memoryHost()
    for (let round = 0; round < 2000; round++) {
      const text =
        "local function f(n) if n == 0 then return redis.call('NOSUCH') end return (f(n - 1)) end return f(50)"
      expect(await memory.script(text, [], [])).toHaveProperty("error")
    }
    expect(await memory.script("return 1", [], [])).toEqual({ reply: 1 })
  })

  test("takes and gives strings of megabytes", async () => {
    const memory = await memoryHost()
    const large = "ü\0".repeat(3_000_000)
    expect(await memory.script("return ARGV[1]", [], [large])).toEqual({ reply: large })
  })
})
