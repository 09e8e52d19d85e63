import type { Redis } from "ioredis"
import type { Row, Sample, Stage } from "../row.ts"

const nothing = "return 1"

/** What a queue that keeps its jobs in a hash each does for one job at the least. */
const sixWrites = `
for field = 1, 6 do redis.call("HSET", KEYS[1], field, ARGV[1]) end
redis.call("LPUSH", KEYS[2], ARGV[1])
redis.call("XADD", KEYS[3], "MAXLEN", "~", "10000", "*", "e", ARGV[1])
return 1`

/**
 * The commands of one settle call for a batch, without its rules: the bound of the engine on this machine. The lists and
 * sets grow and shrink as those of a queue do.
 */
const bareBatch = `
local n, at = tonumber(ARGV[1]), tonumber(ARGV[2])
local keys, old, ids, members, scored, texts = {}, {}, {}, {}, {}, {}
local text = string.rep("x", 60)
for i = 1, n do
  local id = string.format("%016d", at + i)
  ids[i], keys[i], old[i] = id, "l:job:" .. id, "l:job:" .. string.format("%016d", at + i - n)
  members[i], scored[2 * i - 1], scored[2 * i] = string.format("%016d", at + i - n), at, id
  texts[4 * i - 3], texts[4 * i - 2], texts[4 * i - 1], texts[4 * i] = keys[i], text, old[i], text
end
redis.call("HMGET", "l:stats", "a", "b", "c", "d", "e", "f", "g", "h", "i")
redis.call("TIME")
redis.call("MGET", unpack(old))
redis.call("LPUSH", "l:waiting", unpack(ids))
redis.call("LRANGE", "l:waiting", -n, -1)
redis.call("MGET", unpack(keys))
redis.call("ZREM", "l:active", unpack(members))
redis.call("RPOP", "l:waiting", n)
if redis.call("LPUSH", "l:completed", unpack(members)) > 100 then redis.call("RPOP", "l:completed", n) end
redis.call("ZADD", "l:active", unpack(scored))
redis.call("MSET", unpack(texts))
redis.call("XADD", "l:events", "MAXLEN", "~", "10000", "*", "e", table.concat(ids, "\\n"))
redis.call("XADD", "l:events", "MAXLEN", "~", "10000", "*", "e", table.concat(ids, "\\n"))
redis.call("DEL", unpack(old))
redis.call("HSET", "l:stats", "a", at, "b", at, "c", at, "d", at, "e", at)
return texts`

/** What this machine's Redis does through the same client, without any queue. */
async function measure({ meter, size }: Stage): Promise<Sample> {
  const client = meter.client
  const load = async (text: string) => (await client.script("LOAD", text)) as string
  const empty = await load(nothing)
  const six = await load(sixWrites)
  const batch = await load(bareBatch)
  const jobs = 50
  return {
    alone: await rate(size(20_000), 1, () => client.evalsha(empty, 0)),
    fifty: await rate(size(100_000), 50, () => client.evalsha(empty, 0)),
    six: await rate(size(60_000), 100, (i) =>
      client.evalsha(six, 3, `l:h:${i % 5000}`, "l:list", "l:stream", i),
    ),
    batch: jobs * (await rate(size(2_000), 2, (i) => callBatch(client, batch, jobs, i))),
  }
}

function callBatch(client: Redis, sha: string, jobs: number, i: number): Promise<unknown> {
  return client.evalsha(sha, 0, jobs, i * jobs)
}

/** Calls per second with so many under way; the first tenth is not timed. */
async function rate(calls: number, inFlight: number, call: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0
  const until = async (end: number) => {
    while (next < end) await call(next++)
  }
  const run = (end: number) => Promise.all(Array.from({ length: inFlight }, () => until(end)))
  const warm = Math.ceil(calls / 10)
  await run(warm)
  const start = performance.now()
  await run(calls)
  return (calls - warm) / ((performance.now() - start) / 1000)
}

export const limits: Row = {
  name: "limits",
  title: "bare EVALSHA on this machine",
  entries: [{ label: "redis", contestant: "taskora" }],
  measures: [
    { name: "alone", unit: "calls/s of nothing, one at a time", better: "neither" },
    { name: "fifty", unit: "calls/s of nothing, 50 under way", better: "neither" },
    { name: "six", unit: "calls/s of six HSET, LPUSH, XADD, 100 under way", better: "neither" },
    { name: "batch", unit: "jobs/s of a settle call's commands, 50 a call, 2 under way", better: "neither" },
  ],
  compare: [],
  measure,
}
