import type { Needs } from "../store.ts"
import { editionCommands } from "./cluster/edition.ts"
import { callerScriptCommands, questionCommands, workerScriptCommands } from "./script-commands.ts"

/**
 * Every command that Taskora sends or its scripts call, with arguments that stand where the real ones do: `k` a key,
 * `c` a channel. The check at the start asks the server whether its user may run each.
 */
const callerCommands = [
  "EVALSHA s 1 k",
  "EVAL s 1 k",
  "XREAD STREAMS k 0",
  "XADD k 1 e v",
  "PEXPIRE k 1",
  "DEL k",
]

const workerCommands = ["BZPOPMIN k 0", "SUBSCRIBE c", "ZADD k 1 m"]

/** What is sent to the nodes of a cluster, where nobody waits on keys. */
const nodeCallerCommands = [
  "EVALSHA s 1 k",
  "EVAL s 1 k",
  "XREAD STREAMS k 0",
  "SSUBSCRIBE c",
  "SUNSUBSCRIBE c",
  "DEL k",
  "CLUSTER SLOTS",
  "ASKING",
]

const nodeWorkerCommands = ["ZPOPMIN k"]

/** What a store that only reads sends instead. */
const readerCommands = ["EVALSHA_RO s 1 k", "EVAL_RO s 1 k"]

/** The scripts of an exporter. */
export const questionScripts: readonly string[] = ["wire", "roster", "count"]

/** The scripts that only workers call; all others are everybody's. */
export const workerScripts: readonly string[] = [
  "launch",
  "settle",
  "renew",
  "progress",
  "log",
  "upkeep",
  "attend",
]

/** Who asks, and of what: a single server, or the nodes of a cluster. */
export interface Asking {
  readonly use: Use
  readonly cluster?: boolean
}

/** `read`: asks questions; `call`: dispatches and listens too; `work`: runs jobs too. */
export type Use = Needs["use"] | "read"

function linesOf({ use, cluster }: Asking): readonly string[] {
  if (use === "read") {
    const nodes = cluster ? ["EXISTS k", "CLUSTER SLOTS", "ASKING"] : []
    return [...readerCommands, ...questionCommands, ...nodes]
  }
  const work = use === "work"
  const scripts = [...callerScriptCommands, ...(work ? workerScriptCommands : [])]
  if (!cluster) return [...callerCommands, ...(work ? workerCommands : []), ...scripts]
  const sharded = scripts.filter((line) => !line.startsWith("PUBLISH "))
  return [...nodeCallerCommands, ...(work ? nodeWorkerCommands : []), ...sharded, ...editionCommands]
}

/** Each command once, its name first, with the key and the channel in place; without those of keys where there is none. */
export function sampleCalls(asking: Asking, key: string | undefined, channel: string): string[][] {
  const calls = linesOf(asking).map((line) => line.split(" "))
  const byName = new Map(calls.map((words) => [words[0]!, words]))
  return [...byName.values()]
    .filter((words) => key !== undefined || !words.includes("k"))
    .map((words) => words.map((word) => (word === "k" ? key! : word === "c" ? channel : word)))
}

/** What an ACL calls the command: `+cluster|slots`. */
export function ruleName([name, second]: readonly string[]): string {
  return (name === "CLUSTER" ? `${name}|${second}` : name!).toLowerCase()
}
