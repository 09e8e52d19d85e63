import type { Redis } from "ioredis"

/** What is left of a job in the store; read and taken apart anew, apart from the engine's own decoders. */
export interface FinalJob {
  readonly id: string
  /** w waiting, d delayed, a active, c completed, f failed, x cancelled. */
  readonly state: string
  readonly token: number
  readonly attempt: number
  readonly claimed: number
  readonly outcome: string
  readonly created: number
  readonly fails: number
  readonly stalls: number
  readonly releases: number
  /** How earlier runs ended: f failed, s stalled, b handed back. */
  readonly history: readonly string[]
  readonly logs: readonly { readonly run: string; readonly at: number }[]
}

export type Collection = "waiting" | "priority" | "delayed" | "active" | "completed" | "failed" | "cancelled"

export const collections: readonly Collection[] = [
  "waiting",
  "priority",
  "delayed",
  "active",
  "completed",
  "failed",
  "cancelled",
]

/** Everything that one task keeps. */
export interface FinalState {
  readonly jobs: ReadonlyMap<string, FinalJob>
  /** Members as they stand. */
  readonly places: Readonly<Record<Collection, readonly string[]>>
  readonly stats: Readonly<Record<string, string>>
  /** Ids of keys that belong to a job, by kind: data, progress, logs, result. */
  readonly appended: readonly { readonly kind: string; readonly id: string }[]
  /** Keys that nobody knows, and records that cannot be read. */
  readonly strange: readonly string[]
}

export function readJob(id: string, text: string, logs: FinalJob["logs"]): FinalJob | undefined {
  const [hot = "", outcome = "", cold = "", history = ""] = text.split("\n")
  const [state = "", token, attempt, claimed] = hot.split(",")
  // What features add stands behind these nine.
  const [created, , , , fails, stalls, , releases] = cold.split(";")[0]!.split(",")
  if (!/^[a-z]$/.test(state) || created === undefined) return undefined
  return {
    id,
    state,
    token: Number(token),
    attempt: Number(attempt),
    claimed: Number(claimed),
    outcome,
    created: Number(created),
    fails: Number(fails),
    stalls: Number(stalls),
    releases: Number(releases),
    history: history === "" ? [] : history.split(";").map((entry) => entry.split(":")[3]!),
    logs,
  }
}

const known = new Set<string>([...collections, "cancels", "wake", "events", "stats"])

export async function readState(client: Redis, base: string, task: string): Promise<FinalState> {
  const root = `${base}{${task}}:`
  const names: string[] = []
  for (let cursor = "0"; ; ) {
    const [next, page] = await client.scan(cursor, "MATCH", `${root}*`, "COUNT", "1000")
    names.push(...page.map((key) => key.slice(root.length)))
    cursor = next
    if (cursor === "0") break
  }
  // A list or a set: how a collection is kept is the engine's to choose.
  const members = async (name: string) =>
    (await client.type(root + name)) === "list"
      ? client.lrange(root + name, 0, -1)
      : client.zrange(root + name, "0", "-1")
  const places = {} as Record<Collection, string[]>
  for (const name of collections) places[name] = await members(name)
  const strange: string[] = []
  const jobs = new Map<string, FinalJob>()
  const appended: { kind: string; id: string }[] = []
  const logs = new Map<string, FinalJob["logs"]>()
  const unique = [...new Set(names)]
  for (const name of unique) {
    const id = /^logs:(.*)$/s.exec(name)?.[1]
    if (id !== undefined) logs.set(id, (await client.lrange(root + name, 1, -1)).map(readLogLine))
  }
  for (const name of unique) {
    const parts = /^(job|data|progress|logs|result):(.*)$/s.exec(name)
    if (!parts) {
      if (!known.has(name)) strange.push(name)
      continue
    }
    const [, kind, id] = parts as unknown as [string, string, string]
    if (kind !== "job") {
      appended.push({ kind, id })
      continue
    }
    const job = readJob(id, (await client.get(root + name)) ?? "", logs.get(id) ?? [])
    if (job) jobs.set(id, job)
    else strange.push(name)
  }
  return { jobs, places, stats: await client.hgetall(`${root}stats`), appended, strange }
}

/** Of a line of the harness's handlers: whose it is, and when it was written. */
function readLogLine(line: string): { run: string; at: number } {
  const run = /"run":"([^"]*)"/.exec(line)?.[1] ?? ""
  const at = Number(/"run":"[^"]*","at":(\d+)/.exec(line)?.[1] ?? 0)
  return { run, at }
}
