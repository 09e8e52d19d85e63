import type { Access } from "../store.ts"
import { editionCommands } from "./cluster/edition.ts"

/**
 * Every command that Taskora sends or its scripts call, with arguments that stand where the real ones do: `k` a key,
 * `c` a channel. The check at the start asks the server whether its user may run each.
 */
const clientCommands = [
  "EVALSHA s 1 k",
  "EVAL s 1 k",
  "XREAD STREAMS k 0",
  "BZPOPMIN k 0",
  "SUBSCRIBE c",
  "XADD k 1 e v",
  "ZADD k 1 m",
  "PEXPIRE k 1",
  "DEL k",
]

/** What is sent to the nodes of a cluster, instead of what waits on keys there. */
const nodeCommands = [
  "EVALSHA s 1 k",
  "EVAL s 1 k",
  "XREAD STREAMS k 0",
  "ZPOPMIN k",
  "SSUBSCRIBE c",
  "SUNSUBSCRIBE c",
  "DEL k",
  "CLUSTER SLOTS",
  "ASKING",
]

/** What a store that only reads sends instead. */
const readerCommands = ["EVALSHA_RO s 1 k", "EVAL_RO s 1 k"]

/** What the scripts of questions call, held against them by a test. */
export const questionCommands = [
  "GET k",
  "HGET k f",
  "HGETALL k",
  "HMGET k f",
  "LINDEX k 0",
  "LLEN k",
  "TIME",
  "ZCARD k",
  "ZCOUNT k 0 1",
  "ZRANGE k 0 1",
]

/** Held against `lua/` by a test. */
export const scriptCommands = [
  "DEL k",
  "EXISTS k",
  "GET k",
  "HDEL k f",
  "HGET k f",
  "HGETALL k",
  "HINCRBY k f 1",
  "HMGET k f",
  "HSCAN k 0",
  "HSET k f v",
  "HSETNX k f v",
  "LINDEX k 0",
  "LLEN k",
  "LPOP k",
  "LPUSH k v",
  "LRANGE k 0 1",
  "LSET k 0 v",
  "LTRIM k 0 1",
  "MGET k",
  "MSET k v",
  "PEXPIRE k 1",
  "PUBLISH c v",
  "RPOP k",
  "RPUSH k v",
  "SET k v",
  "TIME",
  "XADD k * e v",
  "XRANGE k - +",
  "XREVRANGE k + -",
  "ZADD k 1 m",
  "ZCARD k",
  "ZCOUNT k 0 1",
  "ZMSCORE k m",
  "ZRANGE k 0 1",
  "ZREM k m",
  "ZSCORE k m",
]

/** Who asks, and of what: a single server, or the nodes of a cluster. */
export interface Asking {
  readonly access: Access
  readonly cluster?: boolean
}

function calls({ access, cluster }: Asking): string[][] {
  const lines =
    access === "read"
      ? [...readerCommands, ...questionCommands, ...(cluster ? ["EXISTS k", "CLUSTER SLOTS", "ASKING"] : [])]
      : cluster
        ? [
            ...nodeCommands,
            ...scriptCommands.filter((line) => !line.startsWith("PUBLISH")),
            ...editionCommands,
          ]
        : [...clientCommands, ...scriptCommands]
  return lines.map((line) => line.split(" "))
}

/** The names of those that touch keys. */
export function keyCommands(asking: Asking): string[] {
  return [
    ...new Set(
      calls(asking)
        .filter((words) => words.includes("k"))
        .map(([name]) => name!),
    ),
  ]
}

/** Each command once, its name first, with the key and the channel in place. */
export function sampleCalls(asking: Asking, key: string, channel: string): string[][] {
  const byName = new Map(calls(asking).map((words) => [words[0]!, words]))
  return [...byName.values()].map((words) =>
    words.map((word) => (word === "k" ? key : word === "c" ? channel : word)),
  )
}
