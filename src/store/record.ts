import type { JobState } from "../model/states.ts"

/**
 * A job's record as the scripts write it (see `lua/lib/record.lua`); only Lua ever writes one.
 * Times are server times in ms since the epoch; 0 and "" mean none.
 */
export interface JobRecord {
  readonly state: "waiting" | "delayed" | "active" | "completed" | "failed" | "cancelled"
  readonly created: number
  readonly eligible: number
  readonly priority: number
  /** Failed attempts in this life. */
  readonly fails: number
  /** Number of the last run begun; 0 for none. */
  readonly attempt: number
  readonly stalls: number
  readonly token: string
  readonly claimed: number
  readonly finished: number
  readonly maxAttempts: number
  readonly lifeStart: number
  readonly releases: number
  /** Letters: p progress, l logs, r result kept apart, d damaged. */
  readonly flags: string
  /** `traceparent` of the last run, where it is known. */
  readonly run: string
  readonly history: readonly PastRun[]
  /** Result, error or reason as stored text. */
  readonly outcome: string
  /** Headers of observers, JSON. */
  readonly headers: string
  readonly data: string
}

/** A run that did not end the job. */
export interface PastRun {
  readonly attempt: number
  readonly claimed: number
  readonly ended: number
  readonly how: "failed" | "stalled" | "released"
  readonly run: string
}

const states = {
  w: "waiting",
  d: "delayed",
  a: "active",
  c: "completed",
  f: "failed",
  x: "cancelled",
} as const

const endings = { f: "failed", s: "stalled", b: "released" } as const

/** Decodes a record; undefined when it is damaged. */
export function decodeRecord(text: string): JobRecord | undefined {
  const line = text.indexOf("\n")
  const fields = text.slice(0, line).split(",")
  const state = states[fields[0] as keyof typeof states]
  if (line < 0 || state === undefined || fields.length !== 17) return undefined
  const history = text.indexOf("\n", line + 1)
  const outcome = text.indexOf("\n", history + 1)
  const headers = text.indexOf("\n", outcome + 1)
  if (history < 0 || outcome < 0 || headers < 0) return undefined
  const created = Number(fields[1])
  const eligible = Number(fields[2]) || created
  return {
    state,
    created,
    eligible,
    priority: Number(fields[3]),
    fails: Number(fields[5]),
    attempt: Number(fields[6]),
    stalls: Number(fields[7]),
    token: fields[8]!,
    claimed: Number(fields[9]),
    finished: Number(fields[10]),
    maxAttempts: Number(fields[11]),
    lifeStart: Number(fields[12]) || created,
    releases: Number(fields[13]),
    flags: fields[15]!,
    run: fields[16]!,
    history:
      history === line + 1
        ? []
        : text
            .slice(line + 1, history)
            .split(";")
            .map(decodePast),
    outcome: text.slice(history + 1, outcome),
    headers: text.slice(outcome + 1, headers),
    data: text.slice(headers + 1),
  }
}

function decodePast(entry: string): PastRun {
  const [attempt, claimed, ended, how, run] = entry.split(":")
  return {
    attempt: Number(attempt),
    claimed: Number(claimed),
    ended: Number(ended),
    how: endings[how as keyof typeof endings] ?? "failed",
    run: run ?? "",
  }
}

/** `retrying` is a delayed job with a failed attempt. */
export function publicState(record: JobRecord): JobState {
  return record.state === "delayed" && record.fails > 0 ? "retrying" : record.state
}
