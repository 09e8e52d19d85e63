import { type Duration, durationMs, show } from "../model/duration.ts"
import { TaskoraError } from "../model/errors.ts"
import { checkKey } from "../model/names.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import { describeThrown } from "./thrown.ts"

/** How a task's jobs may run, where a dispatch does not say otherwise. */
export interface FlowOptions<In = unknown> {
  /**
   * `max`: a job that is not started within it expires; a dispatch may say less, but not more. Default: none, and a
   * dispatch may say anything. `onExpire`: what becomes of jobs that expire: `"fail"` (the default) keeps them as
   * `expired`, and tells it by an event; `"discard"` leaves no trace but the counter.
   */
  readonly ttl?: { readonly max?: Duration; readonly onExpire?: "fail" | "discard" }
  /** At most one job of the task is active at a time, in all processes together. Default false. */
  readonly singleton?: boolean
  /** Of the jobs of one key, at most `concurrencyLimit` are active at a time, in all processes together. Default: none. */
  readonly concurrencyKey?: string | ((data: In) => string)
  /** 1 to 1000. Default 1. */
  readonly concurrencyLimit?: number
}

/** The same, of one dispatch. */
export interface FlowDispatchOptions {
  /** A job that is not started within it expires. Default: the task's `ttl.max`, which it must not exceed. */
  readonly ttl?: Duration
  /** Default: the task's. */
  readonly concurrencyKey?: string
  /** 1 to 1000. Default: the task's, or 1. */
  readonly concurrencyLimit?: number
}

/** A task's flow control, resolved. */
export interface Flow {
  readonly maxTtlMs: number | undefined
  readonly discard: boolean
  readonly key: string | ((data: never) => string) | undefined
  readonly limit: number
}

export const flowOptionNames = ["ttl", "singleton", "concurrencyKey", "concurrencyLimit"]
export const flowDispatchNames = ["ttl", "concurrencyKey", "concurrencyLimit"]
const highestLimit = 1000

/** @throws TaskoraError (`INVALID`) */
export function resolveFlow(own: FlowOptions<never>, what: string): Flow {
  const { ttl = {}, concurrencyKey: key } = own
  checkNames(ttl, ["max", "onExpire"], `${what}: ttl`)
  const { onExpire = "fail" } = ttl
  if (onExpire !== "fail" && onExpire !== "discard")
    throw invalid(`${what}: ttl.onExpire must be "fail" or "discard", not ${show(onExpire)}`)
  if (key !== undefined && typeof key !== "function") checkKey(key, `${what}: concurrencyKey`)
  return {
    maxTtlMs: ttl.max === undefined ? undefined : durationMs(ttl.max, `${what}: ttl.max`, 1),
    discard: onExpire === "discard",
    key,
    limit: resolveLimit(own.concurrencyLimit ?? 1, what),
  }
}

/** @throws TaskoraError (`INVALID`) */
export function resolveSingleton(
  own: { readonly singleton?: boolean; readonly concurrency?: number },
  what: string,
): boolean {
  const { singleton = false, concurrency = 1 } = own
  if (typeof singleton !== "boolean")
    throw invalid(`${what}: singleton must be true or false, not ${show(singleton)}`)
  if (singleton && concurrency > 1)
    throw invalid(`${what}: a singleton runs one job at a time; leave out concurrency (${concurrency})`)
  return singleton
}

function resolveLimit(limit: number, what: string): number {
  return wholeNumber(limit, `${what}: concurrencyLimit`, 1, highestLimit)
}

/**
 * The lines that tell a job's flow control to the store (see `lua/lib/enqueue_rare.lua`). @throws TaskoraError (`INVALID`),
 * and what the task's `concurrencyKey` throws
 */
export function flowLines(
  given: FlowDispatchOptions & { readonly delayMs: number },
  flow: Flow,
  { data, what }: { readonly data: unknown; readonly what: string },
): string[] {
  const ttl = ttlOf(given, flow, what)
  const slot = slotOf(given, flow, { data, what })
  return [
    ...(ttl === undefined ? [] : [`t ${ttl},${flow.discard ? 1 : 0}`]),
    ...(slot === undefined ? [] : [`c ${slot.limit},${slot.key}`]),
  ]
}

function ttlOf(
  { ttl, delayMs }: FlowDispatchOptions & { readonly delayMs: number },
  { maxTtlMs }: Flow,
  what: string,
): number | undefined {
  const ms = ttl === undefined ? maxTtlMs : durationMs(ttl, `${what}: ttl`, 1)
  if (ms === undefined) return undefined
  if (maxTtlMs !== undefined && ms > maxTtlMs)
    throw invalid(`${what}: ttl of ${ms} ms is longer than the task's ttl.max of ${maxTtlMs} ms`)
  if (delayMs >= ms)
    throw invalid(
      `${what}: with a delay (or debounce) of ${delayMs} ms the job would expire first, after its ttl of ${ms} ms`,
    )
  return ms
}

function slotOf(
  given: FlowDispatchOptions,
  flow: Flow,
  { data, what }: { readonly data: unknown; readonly what: string },
): { readonly key: string; readonly limit: number } | undefined {
  const { concurrencyKey, concurrencyLimit } = given
  const wanted = concurrencyKey ?? flow.key
  if (wanted === undefined) {
    if (concurrencyLimit !== undefined)
      throw invalid(`${what}: concurrencyLimit (${show(concurrencyLimit)}) needs a concurrencyKey`)
    return undefined
  }
  const key = typeof wanted === "function" ? chosenKey(wanted, data, what) : wanted
  return {
    key: checkKey(key, `${what}: concurrencyKey`),
    limit: concurrencyLimit === undefined ? flow.limit : resolveLimit(concurrencyLimit, what),
  }
}

/** The user's function sees data that nothing has validated yet. */
function chosenKey(choose: (data: never) => unknown, data: unknown, what: string): unknown {
  try {
    return choose(data as never)
  } catch (cause) {
    const { message } = describeThrown(cause)
    throw new TaskoraError(`${what}: concurrencyKey threw for this data: ${message}`, "INVALID", { cause })
  }
}
