import { type JobState, type StoredState, stateLetters } from "../model/states.ts"

/**
 * A job's record as the scripts write it (see `lua/lib/record.lua`); only Lua ever writes one.
 * Times are server times in ms since the epoch; 0 and "" mean none.
 */
export interface JobRecord {
  readonly state: StoredState
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
  /** On which the job may run; undefined for most. */
  readonly terms: JobTerms | undefined
  /** Letters: b data kept apart, p progress, l logs, r result kept apart, d damaged, k has terms, v lives again. */
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

/** What `lua/lib/terms.lua` keeps of a job. */
export interface JobTerms {
  /** Server time by which it must have started, ms; 0 for none. */
  readonly expires: number
  /** Leaves no trace where it expires. */
  readonly discard: boolean
  /** How many jobs of its concurrency key may be active; 0 for none. */
  readonly limit: number
  /** Of its data; 1 where it says nothing. */
  readonly version: number
  readonly concurrencyKey: string
  readonly dedupeKey: string
}

/** A run that did not end the job, or that ended an earlier life of it. */
export interface PastRun {
  readonly attempt: number
  readonly claimed: number
  readonly ended: number
  readonly how: "failed" | "stalled" | "released" | "died"
  readonly run: string
}

/** Whether a record's flags say that its data lies in a key of its own; all else of it may be damaged. */
export function hasDataApart(text: string): boolean {
  return /^\w*(?:,\d*){5},[a-z]*b/.test(text)
}

const endings = { f: "failed", s: "stalled", b: "released", d: "died" } as const

/** Decodes a record; undefined when it is damaged. */
export function decodeRecord(text: string): JobRecord | undefined {
  const hotEnd = text.indexOf("\n")
  const outcomeEnd = text.indexOf("\n", hotEnd + 1)
  const coldEnd = text.indexOf("\n", outcomeEnd + 1)
  const historyEnd = text.indexOf("\n", coldEnd + 1)
  const headersEnd = text.indexOf("\n", historyEnd + 1)
  if (hotEnd < 0 || outcomeEnd < 0 || coldEnd < 0 || historyEnd < 0 || headersEnd < 0) return undefined
  const hot = text.slice(0, hotEnd).split(",")
  const [times, ...terms] = text.slice(outcomeEnd + 1, coldEnd).split(";")
  const cold = times!.split(",")
  const state = stateLetters[hot[0]!]
  if (state === undefined || hot.length !== 8 || cold.length !== 9) return undefined
  const created = Number(cold[0])
  const claimed = Number(hot[3])
  return {
    state,
    token: hot[1]!,
    attempt: Number(hot[2]),
    claimed,
    finished: hot[4] === "" ? 0 : Number(hot[4]) + (claimed || created),
    maxAttempts: Number(hot[5]),
    flags: hot[6]!,
    run: hot[7]!,
    outcome: text.slice(hotEnd + 1, outcomeEnd),
    created,
    eligible: Number(cold[1]) || created,
    priority: Number(cold[2]),
    fails: Number(cold[4]),
    stalls: Number(cold[5]),
    lifeStart: Number(cold[6]) || created,
    releases: Number(cold[7]),
    terms: terms.length === 0 ? undefined : decodeTerms(terms.join(";")),
    history:
      historyEnd === coldEnd + 1
        ? []
        : text
            .slice(coldEnd + 1, historyEnd)
            .split(";")
            .map(decodePast),
    headers: text.slice(historyEnd + 1, headersEnd),
    data: text.slice(headersEnd + 1),
  }
}

function decodeTerms(text: string): JobTerms {
  const [fields, concurrencyKey = "", dedupeKey = ""] = text.split("\t")
  const [expires, discard, limit, version] = fields!.split(",")
  return {
    expires: Number(expires),
    discard: discard === "1",
    limit: Number(limit),
    version: Number(version) || 1,
    concurrencyKey,
    dedupeKey,
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

/** `retrying` is a delayed job with a failed attempt; one that is due at `now` waits, whether or not it was moved. */
export function publicState(record: JobRecord, now: number): JobState {
  if (record.state === "delayed" && record.eligible <= now) return "waiting"
  return record.state === "delayed" && record.fails > 0 ? "retrying" : record.state
}

/** Whether somebody gave the job another life after it had failed. */
export function livesAgain({ flags }: JobRecord): boolean {
  return flags.includes("v")
}
