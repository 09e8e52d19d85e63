import { join } from "node:path"
import { expect, test } from "vitest"
import { questionScripts, workerScripts } from "../../../src/store/redis/commands.ts"
import { scripts } from "../../../src/store/scripts.ts"
import { root } from "../../support/repository.ts"

/** How each command is asked for: `k` a key, `c` a channel. One that scripts begin to call is added here. */
const samples = [
  "DEL k",
  "EXISTS k",
  "GET k",
  "HDEL k f",
  "HEXISTS k f",
  "HGET k f",
  "HGETALL k",
  "HINCRBY k f 1",
  "HLEN k",
  "HMGET k f",
  "HSCAN k 0",
  "HSET k f v",
  "HSETNX k f v",
  "INCR k",
  "LINDEX k 0",
  "LLEN k",
  "LPOP k",
  "LPUSH k v",
  "LRANGE k 0 1",
  "LREM k 0 v",
  "LSET k 0 v",
  "LTRIM k 0 1",
  "MGET k",
  "MSET k v",
  "PERSIST k",
  "PEXPIRE k 1",
  "PTTL k",
  "PUBLISH c v",
  "RPOP k",
  "RPUSH k v",
  "SADD k m",
  "SCARD k",
  "SET k v",
  "SISMEMBER k m",
  "SMEMBERS k",
  "SREM k m",
  "TIME",
  "XADD k * e v",
  "XRANGE k - +",
  "XREVRANGE k + -",
  "ZADD k 1 m",
  "ZCARD k",
  "ZCOUNT k 0 1",
  "ZINCRBY k 1 m",
  "ZMSCORE k m",
  "ZRANGE k 0 1",
  "ZREM k m",
  "ZREMRANGEBYSCORE k 0 1",
  "ZSCORE k m",
]

/** The commands that these scripts call, by name. */
function calledBy(some: (name: string) => boolean): Set<string> {
  const called = new Set<string>()
  for (const { name, source } of Object.values(scripts)) {
    if (!some(name)) continue
    const text = source.text.replace(/--.*$/gm, "")
    const calls = text.match(/redis\.p?call\b/g) ?? []
    const named = [...text.matchAll(/redis\.p?call\(\s*"([A-Z]+)"/g)]
    expect(named.length, `every call in ${name} names its command`).toBe(calls.length)
    for (const [, command] of named) called.add(command!)
  }
  return called
}

function list(name: string, what: string, commands: Iterable<string>): string {
  const lines = [...commands].sort().map((command) => {
    const sample = samples.find((line) => line.split(" ")[0] === command)
    if (sample === undefined) throw new Error(`say among the samples of this test how ${command} is called`)
    return `"${sample}"`
  })
  const short = `export const ${name} = [${lines.join(", ")}]`
  const text =
    short.length <= 110 ? short : `export const ${name} = [\n${lines.map((line) => `  ${line},\n`).join("")}]`
  return `/** ${what} */\n${text}\n`
}

/** `npm run generate` writes it anew. */
test("the commands that scripts call are current", async () => {
  const callers = calledBy((name) => !workerScripts.includes(name))
  const workers = calledBy((name) => workerScripts.includes(name))
  const text = [
    "// Generated from lua/ by test/store/redis/commands.reference.test.ts; npm run generate writes it anew.\n",
    list("callerScriptCommands", "What everybody's scripts call.", callers),
    list(
      "workerScriptCommands",
      "What the scripts of workers call besides.",
      [...workers].filter((name) => !callers.has(name)),
    ),
    list(
      "questionCommands",
      "What the scripts of an exporter call.",
      calledBy((name) => questionScripts.includes(name)),
    ),
  ]
  await expect(text.join("\n")).toMatchFileSnapshot(join(root, "src/store/redis/script-commands.ts"))
})

test("every script has its place", () => {
  const names = Object.keys(scripts)
  for (const name of [...workerScripts, ...questionScripts]) expect(names).toContain(name)
})
