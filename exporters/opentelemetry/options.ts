import type { MeterProvider, TracerProvider } from "@opentelemetry/api"
import { type Duration, durationMs, show } from "../../src/model/duration.ts"
import { TaskoraError } from "../../src/model/errors.ts"
import type { TraceRelation } from "../../src/model/observer.ts"
import { checkBuckets } from "../buckets.ts"
import { histograms, messagingInstruments } from "../catalogue.ts"
import { checkOptionNames } from "../options.ts"
import type { ErrorCapture } from "./failure.ts"

/** What `capture.data` may make of a value: something fit to be seen by whoever reads traces, or nothing. */
export type Redact = (value: object) => string | number | boolean | undefined

export interface CaptureOptions {
  /** How much of an error goes into spans: message and stack, or the class name alone. Default `"message"`. */
  readonly errors?: ErrorCapture
  /** Called with progress, or extras of a log line, that are objects; what it returns is shown. Without it none of them is. */
  readonly data?: Redact
}

/** Options of `opentelemetry()`. */
export interface OpenTelemetryOptions {
  /** Instead of the global one, which is followed when it is registered or changes later. */
  readonly tracerProvider?: TracerProvider
  /** Instead of the global one, which is followed when it is registered or changes later. */
  readonly meterProvider?: MeterProvider
  /**
   * How a run's span relates to that of the dispatch. `"auto"` (default): child of the dispatch and linked to it, or,
   * when it became eligible long after, a trace of its own, linked. Tasks and dispatches may say otherwise.
   */
  readonly relation?: TraceRelation
  /** How long after the dispatch, or after the previous run, `"auto"` still joins that trace. Default 1 minute. */
  readonly linkAfter?: Duration
  /** A `create` span for each job of `dispatchMany`. Default false. */
  readonly batchCreates?: boolean
  /**
   * Let instrumentations of Redis clients see Taskora's own commands. Default false: they would be most of all spans. A
   * command that stores the jobs of one dispatch stands below its `send` span; all others serve many jobs and stand alone,
   * which wants the instrumentation's `requireParentSpan: false`. Such spans hold arguments, and so payloads, unless its
   * `dbStatementSerializer` leaves them out.
   */
  readonly storeSpans?: boolean
  readonly capture?: CaptureOptions
  /** Record OpenTelemetry metrics. Default true. */
  readonly metrics?: boolean
  /** Read queue gauges from the store at each collection. Default true; false where a cluster exporter runs. */
  readonly queueGauges?: boolean
  /**
   * Bounds of buckets by the name of a histogram, in its unit, rising. Where metrics are recorded through a meter they
   * are advice, and a View goes before them. Observers of one app share their numbers: give all the same.
   */
  readonly buckets?: Readonly<Record<string, readonly number[]>>
  /** Tasks that get a label of their own; further ones share `_OTHER`. Default 300. */
  readonly taskLimit?: number
  /** Make spans. Default true; without them the context of dispatches still travels. */
  readonly traces?: boolean
}

export interface ResolvedOptions {
  readonly tracerProvider: TracerProvider | undefined
  readonly meterProvider: MeterProvider | undefined
  readonly relation: TraceRelation
  readonly linkAfterMs: number
  readonly batchCreates: boolean
  readonly storeSpans: boolean
  readonly capture: { readonly errors: ErrorCapture; readonly data: Redact | undefined }
  readonly metrics: boolean
  readonly queueGauges: boolean
  readonly buckets: Readonly<Record<string, readonly number[]>>
  readonly taskLimit: number | undefined
  readonly traces: boolean
}

const defaults = Object.freeze({
  relation: "auto",
  linkAfter: "1m",
  batchCreates: false,
  storeSpans: false,
  metrics: true,
  queueGauges: true,
  traces: true,
}) satisfies OpenTelemetryOptions

const optionNames = [
  ...Object.keys(defaults),
  "tracerProvider",
  "meterProvider",
  "capture",
  "buckets",
  "taskLimit",
]
const histogramNames = [
  ...Object.values(histograms),
  messagingInstruments.operation,
  messagingInstruments.process,
].map(({ name }) => name)
const relations: readonly unknown[] = ["auto", "parent", "link"] satisfies TraceRelation[]
const where = "opentelemetry()"

/** @throws TaskoraError (`INVALID`) for an unknown name or an impossible value */
export function resolveOptions(given: OpenTelemetryOptions = {}): ResolvedOptions {
  checkOptionNames(given, optionNames, where)
  const options = { ...defaults, ...definedOf(given) }
  if (!relations.includes(options.relation))
    impossible("relation", options.relation, '"auto", "parent" or "link"')
  for (const name of ["batchCreates", "storeSpans", "metrics", "queueGauges", "traces"] as const)
    if (typeof options[name] !== "boolean") impossible(name, options[name], "true or false")
  const { taskLimit } = options
  if (taskLimit !== undefined && !(Number.isInteger(taskLimit) && taskLimit >= 1 && taskLimit <= 10_000))
    impossible("taskLimit", taskLimit, "a whole number from 1 to 10000")
  return {
    tracerProvider: options.tracerProvider,
    meterProvider: options.meterProvider,
    relation: options.relation,
    linkAfterMs: durationMs(options.linkAfter, `${where}: linkAfter`),
    batchCreates: options.batchCreates,
    storeSpans: options.storeSpans,
    capture: resolveCapture(options.capture),
    metrics: options.metrics,
    queueGauges: options.queueGauges,
    buckets: checkBuckets(options.buckets ?? {}, histogramNames, where),
    taskLimit,
    traces: options.traces,
  }
}

/** Without names that were given as `undefined`, which mean the default. */
function definedOf(given: OpenTelemetryOptions): OpenTelemetryOptions {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function resolveCapture(capture: CaptureOptions = {}): ResolvedOptions["capture"] {
  checkOptionNames(capture, ["errors", "data"], `${where}: capture`)
  const errors: unknown = capture.errors ?? "message"
  if (errors !== "message" && errors !== "type") impossible("capture.errors", errors, '"message" or "type"')
  if (capture.data !== undefined && typeof capture.data !== "function")
    impossible("capture.data", capture.data, "a function")
  return { errors, data: capture.data }
}

function impossible(name: string, value: unknown, allowed: string): never {
  throw new TaskoraError(`${where}: ${name} is ${show(value)}; give ${allowed}`, "INVALID")
}
