import { hasDataApart } from "./record.ts"
import type { Reply } from "./store.ts"

/** What a call that its lane has overtaken is answered; it changed nothing. */
export type Stale = "stale"

export interface EnqueueReply {
  readonly at: number
  /**
   * One letter a job: s stored, b stored in the place of another (debounce), d its id has a record already, u another job
   * stands for it (deduplicate), t throttled.
   */
  readonly words: string
  /** For each b and u the other job's id, for each t the ms until it may come again. */
  readonly notes: readonly string[]
  /** For each b the record of the job that was replaced, without its data; "" where it is gone. */
  readonly heads: readonly string[]
}

const none: readonly string[] = []

export function decodeEnqueue(reply: Reply): EnqueueReply | Stale {
  const [word, at, answer] = reply as [string, number, string]
  if (word === "stale") return "stale"
  const end = answer.indexOf("\n")
  if (end < 0) return { at, words: answer, notes: none, heads: none }
  const [words, ...notes] = answer.split("\n") as [string, ...string[]]
  return { at, words, notes, heads: (reply as string[]).slice(3) }
}

export interface LaunchReply {
  readonly at: number
  readonly seq: number
  /** The leased job's; undefined where there is none, empty where a repeated call finds it held no more. */
  readonly record: string | undefined
}

export function decodeLaunch(reply: Reply): LaunchReply | Stale {
  const [word, at, seq, record] = reply as [string, number, string, string | undefined]
  return word === "stale" ? "stale" : { at, seq: Number(seq), record }
}

export interface SettleReply {
  readonly at: number
  /** One letter a settlement: c completed, f failed, r retried, x cancelled, b released, p progress, l lost. */
  readonly words: string
  readonly seq: number
  /** When the next delayed job falls due; 0 when none is known. */
  readonly due: number
  /** There may be more to claim at once. */
  readonly more: boolean
  /** Reasons (JSON, or "") of those that became `x`, in order. */
  readonly reasons: readonly string[]
  readonly claimed: readonly ClaimedJob[]
  /** Jobs that the claim came across and that had expired. */
  readonly expired: readonly Expired[]
}

export interface Expired {
  readonly id: string
  /** The record before, without data. */
  readonly record: string
}

export interface ClaimedJob {
  readonly id: string
  /** Empty where a repeated claim finds that its job is held no more. */
  readonly record: string
  /** Where the record says that the data lies apart: the data, or null where that is lost. */
  readonly data: string | null | undefined
}

export function decodeSettle(reply: Reply): SettleReply | Stale {
  const parts = reply as string[]
  if (parts[0] === "stale") return "stale"
  return {
    at: Number(parts[1]),
    words: parts[2]!,
    seq: Number(parts[3]),
    due: Number(parts[4]),
    more: parts[5] === "1",
    reasons: split(parts[6]!),
    ...decodeJobs(parts),
  }
}

const nothing: readonly never[] = []

/** What a claim came across. */
function decodeJobs(parts: readonly string[]): Pick<SettleReply, "claimed" | "expired"> {
  const ended = parts[0] === "expired"
  const from = ended ? 8 : 7
  return {
    claimed: parts.length > from ? decodeClaimed(parts, from) : nothing,
    expired: ended ? decodeExpired(parts[7] as unknown as string[]) : nothing,
  }
}

function decodeExpired(parts: readonly string[]): Expired[] {
  return Array.from({ length: parts.length / 2 }, (_, i) => ({
    id: parts[2 * i]!,
    record: parts[2 * i + 1]!,
  }))
}

function decodeClaimed(parts: readonly (string | null)[], from: number): ClaimedJob[] {
  const jobs: ClaimedJob[] = []
  for (let i = from; i < parts.length; i += 2) {
    const record = parts[i + 1]!
    const data = hasDataApart(record) ? parts[i + 2] : undefined
    jobs.push({ id: parts[i]!, record, data })
    if (data !== undefined) i++
  }
  return jobs
}

export interface RenewReply {
  readonly at: number
  /** One letter a lease: o renewed, l lost, x renewed but a cancel is asked for. */
  readonly words: string
  readonly reasons: readonly string[]
}

export function decodeRenew(reply: Reply): RenewReply | Stale {
  const [word, at, words, reasons] = reply as [string, number, string, string]
  return word === "stale" ? "stale" : { at, words, reasons: split(reasons) }
}

export function decodeProgress(reply: Reply): { at: number; words: string } | Stale {
  const [word, at, words] = reply as [string, number, string]
  return word === "stale" ? "stale" : { at, words }
}

export interface CancelReply {
  readonly at: number
  readonly word: "cancelled" | "requested" | "finished" | "unknown"
  /** Where the job was, if this call did anything. */
  readonly state: "" | "waiting" | "delayed" | "active"
  /** The job's record before the call, without its data. */
  readonly record: string
}

export function decodeCancel(reply: Reply): CancelReply | Stale {
  const [word, at, state, record] = reply as [
    CancelReply["word"] | "stale",
    number,
    CancelReply["state"],
    string,
  ]
  return word === "stale" ? "stale" : { at, word, state, record }
}

export interface CountReply {
  readonly at: number
  readonly waiting: number
  readonly delayed: number
  readonly active: number
  readonly parked: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  readonly expired: number
  readonly oldest: number
  readonly paused: boolean
  readonly epoch: string
  /** In the order asked for. */
  readonly counters: readonly number[]
}

export function decodeCount(reply: Reply): CountReply {
  const [at, waiting, delayed, active, parked, completed, failed, cancelled, expired, ...rest] =
    reply as number[]
  const [oldest, paused, epoch, ...counters] = rest as unknown as [string, string, string, ...string[]]
  return {
    at: at!,
    waiting: waiting!,
    delayed: delayed!,
    active: active!,
    parked: parked!,
    completed: completed!,
    failed: failed!,
    cancelled: cancelled!,
    expired: expired!,
    oldest: Number(oldest),
    paused: paused === "1",
    epoch,
    counters: counters.map(Number),
  }
}

export interface FetchReply {
  readonly at: number
  /** Empty when there is no such job. */
  readonly record: string
  readonly result: string
  readonly progress: string
  /** The last transition that the record may tell of; 0 where it was not asked for. */
  readonly seq: number
  readonly logs: readonly string[]
}

export function decodeFetch(reply: Reply): FetchReply {
  const [at, record, result, progress, seq, ...logs] = reply as [number, ...string[]]
  return { at, record: record!, result: result!, progress: progress!, seq: Number(seq), logs }
}

/** Where a stream ends. */
export interface StreamEnd {
  readonly id: string
  readonly seq: number
  /** Another one means that transitions are counted from 1 again. */
  readonly epoch: string
}

export function decodeSnapshots(reply: Reply): readonly StreamEnd[] {
  const parts = reply as string[]
  return Array.from({ length: parts.length / 3 }, (_, i) => ({
    id: parts[3 * i]!,
    seq: Number(parts[3 * i + 1]),
    epoch: parts[3 * i + 2]!,
  }))
}

export interface RosterReply {
  readonly at: number
  readonly tasks: readonly { readonly name: string; readonly info: string }[]
  /** Info of each live worker process, JSON. */
  readonly workers: readonly string[]
}

export function decodeRoster(reply: Reply): RosterReply {
  const [at, count, ...rest] = reply as [number, number, ...string[]]
  const tasks = Array.from({ length: count }, (_, i) => ({ name: rest[2 * i]!, info: rest[2 * i + 1]! }))
  return { at, tasks, workers: rest.slice(2 * count) }
}

export function decodeWord(reply: Reply): string {
  return String((reply as Reply[])[0])
}

export function decodeStrings(reply: Reply): readonly string[] {
  return reply as string[]
}

function split(text: string): readonly string[] {
  return text.split("\t")
}
