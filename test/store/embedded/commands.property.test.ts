import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { supportedCommands } from "../../../src/store/embedded/commands.ts"
import { redisAvailable } from "../../support/redis-server.ts"
import { anyCommand, commandsOf, comparedCommands, type GeneratedCommand } from "./command-arbitraries.ts"
import { type Answer, type Host, memoryHost, redisHost } from "./hosts.ts"

/** A command, or a key that is made to expire while time goes by. */
type Step = GeneratedCommand | { readonly expiring: string }

const seed = process.env.TASKORA_TEST_SEED
const parameters = {
  numRuns: Number(process.env.TASKORA_TEST_RUNS ?? 150),
  ...(seed ? { seed: Number(seed) } : {}),
}

test("every supported command is compared", () => {
  const alone = new Set(["SPUBLISH"])
  expect(supportedCommands.filter((name) => !comparedCommands.includes(name) && !alone.has(name))).toEqual([])
})

describe.skipIf(!redisAvailable())("the embedded keyspace and a real server", () => {
  let memory: Host
  let redis: Host
  let sequence = 0

  beforeAll(async () => {
    memory = await memoryHost()
    redis = await redisHost()
  })
  afterAll(async () => {
    await memory.close()
    await redis.close()
  })

  const same = (commands: fc.Arbitrary<GeneratedCommand>) =>
    fc.assert(
      fc.asyncProperty(
        fc.array(stepOf(commands), { minLength: 1, maxLength: 60, size: "max" }),
        async (steps) => {
          const prefix = `taskora-test:${process.pid}:${sequence++}:`
          const [ours, theirs] = [await play(memory, prefix, steps), await play(redis, prefix, steps)]
          expect(ours).toEqual(theirs)
        },
      ),
      parameters,
    )

  test("answer alike, all types mixed", () => same(anyCommand))
  test("answer alike on strings and keys", () =>
    same(
      commandsOf(
        "GET",
        "SET",
        "MGET",
        "MSET",
        "GETRANGE",
        "STRLEN",
        "APPEND",
        "INCR",
        "INCRBY",
        "EXISTS",
        "PEXPIRE",
        "PTTL",
      ),
    ))
  test("answer alike on hashes", () =>
    same(
      commandsOf(
        "HSET",
        "HSET",
        "HGET",
        "HMGET",
        "HSETNX",
        "HDEL",
        "HINCRBY",
        "HGETALL",
        "HLEN",
        "HEXISTS",
        "HSCAN",
        "HKEYS",
        "HVALS",
      ),
    ))
  test("answer alike on lists", () =>
    same(
      commandsOf(
        "LPUSH",
        "RPUSH",
        "RPUSH",
        "LPOP",
        "RPOP",
        "LLEN",
        "LRANGE",
        "LINDEX",
        "LSET",
        "LTRIM",
        "LREM",
      ),
    ))
  test("answer alike on sets", () => same(commandsOf("SADD", "SREM", "SMEMBERS", "SISMEMBER", "SCARD")))
  test("answer alike on sorted sets", () =>
    same(
      commandsOf(
        ...["ZADD", "ZADD", "ZADD", "ZREM", "ZSCORE", "ZMSCORE", "ZCARD", "ZCOUNT", "ZRANGE", "ZRANGE"],
        ...["ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZREVRANGE", "ZPOPMIN", "ZRANK", "ZREMRANGEBYSCORE"],
      ),
    ))
  test("answer alike on streams", () =>
    same(commandsOf("XADD", "XADD", "XADD", "XLEN", "XRANGE", "XREVRANGE", "XTRIM", "XDEL", "XINFO")))
})

function stepOf(commands: fc.Arbitrary<GeneratedCommand>): fc.Arbitrary<Step> {
  return fc.oneof(
    { weight: 100, arbitrary: commands },
    { weight: 1, arbitrary: fc.constantFrom("a", "b", "c").map((expiring) => ({ expiring })) },
  )
}

/** Runs the steps under a prefix of their own; answers every reply and what is left in the end. */
async function play(host: Host, prefix: string, steps: readonly Step[]): Promise<unknown> {
  const answers: unknown[] = []
  let batch: string[][] = []
  const flush = async () => {
    const replies = await host.commands(batch)
    answers.push(...replies.map((answer, at) => [batch[at]!.join(" "), comparable(batch[at]!, answer)]))
    batch = []
  }
  for (const step of steps) {
    if ("words" in step)
      batch.push(step.words.map((word, at) => (step.keyPlaces.includes(at) ? prefix + word : word)))
    else {
      await flush()
      // The reply says whether the key was there; a server slower than a millisecond may answer for it already gone.
      await host.commands([["PEXPIRE", prefix + step.expiring, "1"]])
      await host.pass(3)
    }
  }
  await flush()
  return { answers, left: await dump(host, prefix) }
}

async function dump(host: Host, prefix: string): Promise<unknown> {
  const [found] = await host.commands([["KEYS", `${prefix}*`]])
  const keys = ((found as { reply: string[] }).reply ?? []).toSorted()
  const types = await host.commands(keys.map((key) => ["TYPE", key]))
  const reads = keys.map((key, at) => readAll(key, String((types[at] as { reply: string }).reply)))
  const values = await host.commands(reads)
  const deadlines = await host.commands(keys.map((key) => ["PTTL", key]))
  if (keys.length > 0) await host.commands([["DEL", ...keys]])
  return keys.map((key, at) => [
    key,
    comparable(reads[at]!, values[at]!),
    comparable(["PTTL"], deadlines[at]!),
  ])
}

function readAll(key: string, type: string): string[] {
  switch (type) {
    case "string":
      return ["GET", key]
    case "list":
      return ["LRANGE", key, "0", "-1"]
    case "hash":
      return ["HGETALL", key]
    case "set":
      return ["SMEMBERS", key]
    case "zset":
      return ["ZRANGE", key, "0", "-1", "WITHSCORES"]
    default:
      return ["XRANGE", key, "-", "+"]
  }
}

/** Takes out of an answer what may differ: order where there is none, the time that passes, Redis' inner structures. */
function comparable(command: readonly string[], answer: Answer): unknown {
  if ("error" in answer) return answer
  const { reply } = answer
  switch (command[0]!.toUpperCase()) {
    case "PTTL":
      return Number(reply) > 0 ? `about ${Math.round(Number(reply) / 20_000)}` : reply
    case "TIME":
      return (reply as string[]).length
    case "HGETALL":
      return sortedPairs(reply as string[])
    case "HSCAN":
      return [(reply as [string, string[]])[0], sortedPairs((reply as [string, string[]])[1])]
    case "HKEYS":
    case "HVALS":
    case "SMEMBERS":
    case "KEYS":
      return (reply as string[]).toSorted()
    case "XINFO":
      return (reply as unknown[]).filter((_, at) => ![2, 3, 4, 5].includes(at))
    default:
      // The client's parser rounds large integers in its own way.
      return typeof reply === "number" && !Number.isSafeInteger(reply) ? reply.toPrecision(12) : reply
  }
}

function sortedPairs(flat: readonly string[]): string[] {
  const pairs: string[] = []
  for (let at = 0; at < flat.length; at += 2) pairs.push(JSON.stringify([flat[at], flat[at + 1]]))
  return pairs.toSorted()
}
