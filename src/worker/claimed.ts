import type { Attempt } from "../model/observer.ts"
import { type Definition, retryOf } from "../rules/definition.ts"
import { decodeHeaders } from "../store/headers.ts"
import { decodeRecord, type JobRecord, livesAgain } from "../store/record.ts"
import type { ClaimedJob } from "../store/replies.ts"
import { Run } from "./run.ts"

/** Makes a run of what a claim returned. */
export function claimedRun(
  { id, record: text, data: apart }: ClaimedJob,
  around: {
    readonly definition: Definition
    readonly worker: string
    readonly now: number
    readonly measured: boolean
  },
): Run {
  const record = decodeRecord(text) ?? damaged
  const { definition } = around
  const { headers, relation = definition.relation, links } = decodeHeaders(record.headers)
  const last = record.history.at(-1)
  const data = apart ?? record.data
  const attempt: Attempt = {
    task: definition.name,
    id,
    attempt: record.attempt,
    maxAttempts: record.maxAttempts,
    priority: record.priority,
    createdAt: record.created,
    eligibleAt: record.eligible,
    claimedAt: record.claimed,
    lifeStart: record.lifeStart,
    delayMs: livesAgain(record) ? 0 : record.lifeStart - record.created,
    waitMs: Math.max(0, record.claimed - record.eligible),
    payloadBytes: around.measured ? Buffer.byteLength(data) : 0,
    headers,
    worker: around.worker,
    ...(record.run === "" ? {} : { previousRun: record.run }),
    ...(last === undefined ? {} : { previousEndedAt: last.ended }),
    ...(relation === undefined ? {} : { relation }),
    ...(links === undefined ? {} : { links }),
  }
  const isDamaged = apart === null || record.flags.includes("d")
  const { token, terms } = record
  return new Run(attempt, {
    token,
    now: around.now,
    data,
    damaged: isDamaged,
    version: terms?.version ?? 1,
    node: record.flags.includes("n"),
  })
}

/** What is known of an attempt whose job was recovered before its claim was answered, at `at`, server time. */
export function missedAttempt(
  id: string,
  at: number,
  { definition, worker }: { readonly definition: Definition; readonly worker: string },
): Attempt {
  return {
    task: definition.name,
    id,
    attempt: 1,
    maxAttempts: retryOf(definition).attempts,
    priority: 0,
    createdAt: at,
    eligibleAt: at,
    claimedAt: at,
    lifeStart: at,
    delayMs: 0,
    waitMs: 0,
    payloadBytes: 0,
    headers: {},
    worker,
  }
}

// The scripts hand out only records that they can read; this one stands in should the two ever differ.
const damaged: JobRecord = {
  state: "active",
  created: 0,
  eligible: 0,
  priority: 0,
  fails: 0,
  attempt: 1,
  stalls: 0,
  token: "",
  claimed: 0,
  finished: 0,
  maxAttempts: 1,
  lifeStart: 0,
  releases: 0,
  terms: undefined,
  flags: "d",
  run: "",
  history: [],
  outcome: "",
  headers: "",
  data: "",
}
