import type { Progress } from "../model/events.ts"
import type { LogLevel } from "../model/observer.ts"
import type { JobState } from "../model/states.ts"
import type { Codec } from "../rules/serializer.ts"
import { decodeRecord, type JobRecord, livesAgain, publicState } from "../store/record.ts"
import type { FetchReply } from "../store/replies.ts"

/** All that is known of a job. Times are server times, ms since the epoch. */
export interface JobInfo {
  readonly id: string
  readonly task: string
  readonly state: JobState
  readonly data: unknown
  readonly result?: unknown
  readonly error?: { readonly name: string; readonly message: string; readonly stack?: string }
  /** Why it was cancelled, where a reason was given. */
  readonly reason?: string
  readonly progress?: Progress
  readonly logs: readonly JobLogLine[]
  /** Number of the last attempt begun; 0 for none. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly priority: number
  readonly timestamp: number
  readonly eligibleAt: number
  readonly processedAt?: number
  readonly finishedAt?: number
  /** Times that workers vanished under it, and times that it was handed back at a shutdown, in this life. */
  readonly stalls: number
  readonly releases: number
  /** What happened to it, in order; of its runs, the last 20. */
  readonly timeline: readonly TimelineEntry[]
  /** Ids of its traces, where tracing is on. */
  readonly trace: { readonly dispatch?: string; readonly attempts: readonly string[] }
}

export interface TimelineEntry {
  readonly state: JobState
  readonly at: number
  readonly attempt: number
}

export interface JobLogLine {
  readonly at: number
  readonly level: LogLevel
  readonly message: string
  readonly attempt?: number
  readonly meta?: unknown
  readonly traceId?: string
  readonly spanId?: string
}

/** What the store's answer says of a job; undefined where there is none. A damaged record is an error to whoever asks. */
export function jobInfo(task: string, id: string, reply: FetchReply, codec: Codec): JobInfo | undefined {
  if (reply.record === "") return undefined
  const record = decodeRecord(reply.record)
  if (!record) return undefined
  const of = `of job ${id} of task "${task}"`
  const ran = record.attempt > 0
  return {
    id,
    task,
    state: publicState(record, reply.at),
    data: codec.decode(record.data, `data ${of}`),
    ...outcome(record, reply, codec, of),
    ...(reply.progress === "" ? {} : { progress: JSON.parse(reply.progress) as Progress }),
    logs: reply.logs.map((line) => JSON.parse(line) as JobLogLine),
    attempt: record.attempt,
    maxAttempts: record.maxAttempts || 1,
    priority: record.priority,
    timestamp: record.created,
    eligibleAt: record.eligible,
    ...(ran && record.claimed ? { processedAt: record.claimed } : {}),
    ...(record.finished ? { finishedAt: record.finished } : {}),
    stalls: record.stalls,
    releases: record.releases,
    timeline: timeline(record),
    trace: traceIds(record),
  }
}

function outcome(record: JobRecord, reply: FetchReply, codec: Codec, of: string): Partial<JobInfo> {
  if (record.state === "completed") {
    const text = record.flags.includes("r") ? reply.result : record.outcome
    return { result: codec.decode(text, `result ${of}`) }
  }
  if (record.outcome === "") return {}
  if (record.state === "cancelled") return { reason: JSON.parse(record.outcome) as string }
  return { error: JSON.parse(record.outcome) as NonNullable<JobInfo["error"]> }
}

function timeline(record: JobRecord): TimelineEntry[] {
  const delayed = record.lifeStart > record.created && !livesAgain(record)
  const entries: TimelineEntry[] = [
    { state: delayed ? "delayed" : "waiting", at: record.created, attempt: 0 },
  ]
  const died = record.history.findLastIndex(({ how }) => how === "died")
  for (const [i, { attempt, claimed, ended, how }] of record.history.entries()) {
    entries.push({ state: "active", at: claimed, attempt })
    entries.push({ state: afterRun[how], at: ended, attempt })
    // When the lives before the last one began is not kept.
    if (i === died) entries.push({ state: "waiting", at: record.lifeStart, attempt: 0 })
  }
  const past = record.history.at(-1)
  const last = past?.how === "died" ? undefined : past
  if (record.claimed > 0 && (last === undefined || record.claimed > last.claimed || record.finished > 0)) {
    const own = last?.claimed !== record.claimed || last.attempt !== record.attempt
    if (own) entries.push({ state: "active", at: record.claimed, attempt: record.attempt })
  }
  if (record.finished > 0) entries.push({ state: record.state, at: record.finished, attempt: record.attempt })
  return entries
}

const afterRun = { failed: "retrying", stalled: "waiting", released: "waiting", died: "failed" } as const

function traceIds(record: JobRecord): JobInfo["trace"] {
  const runs = [...record.history.map(({ run }) => run), record.state === "delayed" ? "" : record.run]
  const attempts = runs.map(traceId).filter((id) => id !== undefined)
  const dispatch = dispatchTraceId.exec(record.headers)?.[1]
  return { ...(dispatch === undefined ? {} : { dispatch }), attempts: [...new Set(attempts)] }
}

/** As W3C's, B3's and Jaeger's propagators write it; others may call and spell it as they like. */
const dispatchTraceId =
  /"(?:traceparent":"[\da-f]{2}-|b3":"|x-b3-traceid":"|uber-trace-id":")([\da-f]{32})(?![\da-f])/i

function traceId(traceparent: string): string | undefined {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent)?.[1]
}
