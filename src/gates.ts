import type { Pending, Stored } from "./backlog.ts"
import { type Duration, durationMs, show } from "./model/duration.ts"
import { DuplicateJobError, ThrottledError } from "./model/errors.ts"
import { checkKey } from "./model/names.ts"
import { checkNames, invalid, wholeNumber } from "./model/options.ts"
import type { Definition } from "./rules/definition.ts"
import type { Core } from "./store/core.ts"
import type { EnqueueReply } from "./store/replies.ts"

/** What may stand between a dispatch and its job; one at the most. Keys are text of 1 to 128 bytes, each task's its own. */
export interface GateOptions {
  /**
   * The last dispatch within the window wins: the job waits for `delay`, and each further dispatch under the key replaces
   * it and begins the delay anew. A replaced job is cancelled, reason `debounced`. `maxWait` bounds the wait from the first
   * one on; without it there is no bound.
   */
  readonly debounce?: { readonly key: string; readonly delay: Duration; readonly maxWait?: Duration }
  /** At most `max` (1 to 10,000) dispatches under the key within any time of the length of `window` are stored. */
  readonly throttle?: { readonly key: string; readonly max: number; readonly window: Duration }
  /** Stores nothing while a job of this key is in one of these states. Default: all three; `retrying` counts as delayed. */
  readonly deduplicate?: {
    readonly key: string
    readonly while?: readonly ("waiting" | "delayed" | "active")[]
  }
}

export type GateKind = "debounce" | "throttle" | "deduplicate" | "jobId"

export interface Gate {
  readonly kind: GateKind
  readonly key: string
  /** As `enqueue.lua` takes it; "" where the id is the key. */
  readonly line: string
  /** How long a debounce holds its job back at the least. */
  readonly waitMs?: number
}

/** The reason with which a replaced job is cancelled. */
export const debounced = "debounced"

export const gateNames = ["debounce", "throttle", "deduplicate"] as const

const mostThrottled = 10_000
const stateLetters = { waiting: "w", delayed: "d", active: "a" } as const

/** What a debounce must know beside its options: how the job that it replaces is cancelled. */
interface GateHost {
  readonly definition: Definition
  readonly core: Core
}

/** @throws TaskoraError (`INVALID`) for two gates at once, and for options that are wrong */
export function resolveGate(
  given: GateOptions & { readonly jobId?: string; readonly delay?: Duration },
  what: string,
  host: GateHost,
): Gate | undefined {
  const kinds = ([...gateNames, "jobId"] as const).filter((kind) => given[kind] !== undefined)
  if (kinds.length > 1) throw invalid(`${what}: ${kinds.join(" and ")} exclude one another; give one of them`)
  const [kind] = kinds
  switch (kind) {
    case undefined:
      return undefined
    case "jobId":
      return { kind, key: given.jobId!, line: "" }
    case "debounce":
      if (given.delay !== undefined)
        throw invalid(`${what}: delay and debounce exclude one another; a debounce has a delay of its own`)
      return debounce(given.debounce!, `${what}: debounce`, host)
    case "throttle":
      return throttle(given.throttle!, `${what}: throttle`)
    case "deduplicate":
      return deduplicate(given.deduplicate!, `${what}: deduplicate`)
  }
}

function debounce(given: NonNullable<GateOptions["debounce"]>, what: string, host: GateHost): Gate {
  checkNames(given, ["key", "delay", "maxWait"], what)
  const key = checkKey(given.key, `${what}.key`)
  const delayMs = durationMs(given.delay, `${what}.delay`, 1)
  const most = given.maxWait === undefined ? "" : durationMs(given.maxWait, `${what}.maxWait`, 1)
  const { definition, core } = host
  const keep = definition.retention.failed.maxItems
  const { events, link } = core
  return {
    kind: "debounce",
    key,
    waitMs: most === "" ? delayMs : Math.min(delayMs, most),
    line: `b ${delayMs},${most},${keep},${events.maxLength},${link.instance}\t${key}`,
  }
}

function throttle(given: NonNullable<GateOptions["throttle"]>, what: string): Gate {
  checkNames(given, ["key", "max", "window"], what)
  const key = checkKey(given.key, `${what}.key`)
  const max = wholeNumber(given.max, `${what}.max`, 1, mostThrottled)
  return { kind: "throttle", key, line: `r ${max},${durationMs(given.window, `${what}.window`, 1)},${key}` }
}

function deduplicate(given: NonNullable<GateOptions["deduplicate"]>, what: string): Gate {
  checkNames(given, ["key", "while"], what)
  const key = checkKey(given.key, `${what}.key`)
  const { while: states = ["waiting", "delayed", "active"] } = given
  if (!Array.isArray(states) || states.length === 0)
    throw invalid(`${what}.while must be a list of waiting, delayed and active, not ${show(states)}`)
  const letters = states.map((state: keyof typeof stateLetters) => {
    if (Object.hasOwn(stateLetters, state)) return stateLetters[state]
    throw invalid(`${what}.while: ${show(state)} is none of waiting, delayed (retrying too) and active`)
  })
  return { kind: "deduplicate", key, line: `u ${[...new Set(letters)].join("")},${key}` }
}

/** What an answer says of each job of its call. */
export function answersTo(chunk: readonly Pending[], { at, words, notes, heads }: EnqueueReply): Stored[] {
  let note = 0
  let head = 0
  return chunk.map(({ id }, i) => {
    switch (words[i]) {
      case "d":
        return { enqueued: false, at, existingId: id }
      case "u":
        return { enqueued: false, at, existingId: notes[note++]! }
      case "t":
        return { enqueued: false, at, retryAfterMs: Number(notes[note++]) }
      case "b":
        return { enqueued: true, at, replaced: { id: notes[note++]!, record: heads[head++] ?? "" } }
      default:
        return { enqueued: true, at }
    }
  })
}

/** The error that says why a dispatch was not stored; undefined where it was. */
export function refusal(
  task: string,
  gate: Gate | undefined,
  { existingId, retryAfterMs }: Stored,
): ThrottledError | DuplicateJobError | undefined {
  const key = gate?.key ?? ""
  if (retryAfterMs !== undefined)
    return new ThrottledError(
      `a dispatch of task "${task}" was throttled under key ${show(key)}: nothing was stored; it may come again in ${retryAfterMs} ms`,
      key,
      retryAfterMs,
    )
  if (existingId === undefined) return undefined
  const by = gate?.kind === "jobId" ? "under this jobId" : `under deduplication key ${show(key)}`
  return new DuplicateJobError(
    `job ${existingId} of task "${task}" exists already ${by}: nothing was stored`,
    key,
    existingId,
  )
}
