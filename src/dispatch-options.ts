import { type Gate, type GateOptions, gateNames, resolveGate } from "./gates.ts"
import { type Duration, durationMs, show } from "./model/duration.ts"
import { checkJobId, newId } from "./model/names.ts"
import type { TraceRelation } from "./model/observer.ts"
import { checkNames, invalid, wholeNumber } from "./model/options.ts"
import { type Definition, resolveRelation } from "./rules/definition.ts"
import { type FlowDispatchOptions, flowDispatchNames, flowLines } from "./rules/flow.ts"
import type { Core } from "./store/core.ts"

/** `debounce`, `throttle`, `deduplicate` and `jobId` exclude one another. */
export interface DispatchOptions extends GateOptions, FlowDispatchOptions {
  /** How long to wait before the job may run. Default 0. */
  readonly delay?: Duration
  /** 0 to 2^21; higher ones run first, equal ones in order. Default 0. */
  readonly priority?: number
  /** Names the job while its record exists: a second dispatch under the same id stores nothing. */
  readonly jobId?: string
  /**
   * Where nothing is stored because of `throttle`, `deduplicate` or `jobId`, the handle rejects, with ThrottledError or
   * DuplicateJobError. Default false.
   */
  readonly throwOnReject?: boolean
  readonly trace?: { readonly relation?: TraceRelation }
  /** Stores the data unseen; it is still validated before the handler. Default false. */
  readonly skipValidation?: boolean
}

/** What options come to. */
export interface PreparedJob {
  readonly id: string
  readonly delayMs: number
  readonly priority: number
  readonly relation?: TraceRelation
  readonly skipValidation: boolean
  readonly gate?: Gate
  readonly throwOnReject?: boolean
  /** As `enqueue.lua` takes them; "" for a plain job. */
  readonly options: string
}

const highestPriority = 2 ** 21
const optionNames = [
  "delay",
  "priority",
  "jobId",
  ...gateNames,
  ...flowDispatchNames,
  "throwOnReject",
  "trace",
  "skipValidation",
]
/** Stands for no options at all, the usual case. */
export const plainJob: DispatchOptions = Object.freeze({})

/** @throws TaskoraError (`INVALID`) naming the option that is wrong, and what the task's `concurrencyKey` throws */
export function prepareJob(
  given: DispatchOptions,
  definition: Definition,
  { core, data }: { readonly core: Core; readonly data: unknown },
): PreparedJob {
  const { name, version, flow } = definition
  if (given === plainJob && version === 1 && flow.key === undefined && flow.maxTtlMs === undefined)
    return { id: newId(), delayMs: 0, priority: 0, skipValidation: false, options: "" }
  const what = `task "${name}": dispatch`
  checkNames(given, optionNames, what)
  const { jobId, trace, throwOnReject = false, skipValidation = false } = given
  if (typeof skipValidation !== "boolean")
    throw invalid(`${what}: skipValidation must be true or false, not ${show(skipValidation)}`)
  const relation = resolveRelation(trace, what)
  const delayMs = given.delay === undefined ? 0 : durationMs(given.delay, `${what}: delay`)
  const priority =
    given.priority === undefined ? 0 : wholeNumber(given.priority, `${what}: priority`, 0, highestPriority)
  const gate = resolveGate(given, what, { definition, core })
  // What a debounce holds back is delayed too, and must not expire before its time.
  const held = Math.max(delayMs, gate?.waitMs ?? 0)
  const lines = flowLines({ ...given, delayMs: held }, flow, { data, what })
  if (version > 1) lines.push(`v ${version}`)
  if (typeof throwOnReject !== "boolean")
    throw invalid(`${what}: throwOnReject must be true or false, not ${show(throwOnReject)}`)
  if (gate?.line) lines.push(gate.line)
  return {
    id: jobId === undefined ? newId() : checkJobId(jobId),
    delayMs,
    priority,
    skipValidation,
    options: optionText({ delayMs, priority, named: jobId !== undefined }, lines),
    ...(relation === undefined ? {} : { relation }),
    ...(gate && { gate }),
    ...(throwOnReject && { throwOnReject }),
  }
}

/** `lines`: a line for each further option, a letter, a space and its fields (see `lua/lib/enqueue_rare.lua`). */
function optionText(
  { delayMs, priority, named }: { delayMs: number; priority: number; named: boolean },
  lines: readonly string[],
): string {
  if (delayMs === 0 && priority === 0 && !named && lines.length === 0) return ""
  return [`${delayMs},${priority},${named ? 1 : 0}`, ...lines].join("\n")
}
