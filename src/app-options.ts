import { show } from "./model/duration.ts"
import type { Observer } from "./model/observer.ts"
import {
  checkNames,
  defaultRetention,
  invalid,
  type Retention,
  type RetentionOptions,
  resolveRetention,
  wholeNumber,
} from "./model/options.ts"
import { resolveDefaults, type TaskDefaults } from "./rules/definition.ts"
import { type Codec, codec, json, type Serializer } from "./rules/serializer.ts"
import type { Adapter } from "./store/store.ts"

export interface AppOptions {
  /** Where jobs are kept: `redisAdapter(url)` or `memoryAdapter()`. */
  readonly adapter: Adapter
  /** Telemetry. Default none. */
  readonly observers?: readonly Observer[]
  /** Default `json()`. */
  readonly serializer?: Serializer
  /** For tasks that don't say otherwise. */
  readonly defaults?: TaskDefaults
  /** How long and how many ended jobs are kept. Default: completed 1 h and 100, failed and cancelled 7 d and 300, per task. */
  readonly retention?: RetentionOptions
  readonly events?: {
    /** Entries kept per task's stream, approximately. Default 10,000. */
    readonly maxLength?: number
    /** Results up to this many bytes travel in their event. Default 1024. */
    readonly inlineBytes?: number
  }
  readonly limits?: {
    /** Most bytes of a job's data, and of a result, once serialized. Default 1 MiB. */
    readonly payloadBytes?: number
  }
  /** Whether data is validated as it is dispatched, beside before its handler. Default true. */
  readonly validateOnDispatch?: boolean
}

export interface ResolvedAppOptions {
  readonly adapter: Adapter
  readonly observers: readonly Observer[]
  readonly codec: Codec
  readonly defaults: TaskDefaults
  readonly retention: Retention
  readonly events: { readonly maxLength: number; readonly inlineBytes: number }
  readonly payloadBytes: number
  readonly validateOnDispatch: boolean
}

const names = [
  "adapter",
  "observers",
  "serializer",
  "defaults",
  "retention",
  "events",
  "limits",
  "validateOnDispatch",
]
const what = "createTaskora"

/** @throws TaskoraError (`INVALID`) naming what is wrong */
export function resolveAppOptions(options: AppOptions): ResolvedAppOptions {
  checkNames(options, names, what)
  const { adapter, observers = [], serializer = json(), defaults = {}, events = {}, limits = {} } = options
  if (typeof adapter?.open !== "function")
    throw invalid(
      `${what}: adapter is required: redisAdapter("redis://localhost:6379") from "taskora/redis", or memoryAdapter() from "taskora/memory"`,
    )
  if (!Array.isArray(observers) || observers.some((observer) => typeof observer?.name !== "string"))
    throw invalid(`${what}: observers must be a list of observers, such as prometheus() or opentelemetry()`)
  if (typeof serializer?.serialize !== "function" || typeof serializer.deserialize !== "function")
    throw invalid(`${what}: serializer must have serialize(value) and deserialize(text)`)
  checkNames(defaults, ["retry", "timeout", "concurrency", "stall"], `${what}: defaults`)
  // What is wrong here is the app's fault, not that of the first task to be declared.
  resolveDefaults(defaults, `${what}: defaults`)
  checkNames(events, ["maxLength", "inlineBytes"], `${what}: events`)
  const { validateOnDispatch = true } = options
  if (typeof validateOnDispatch !== "boolean")
    throw invalid(`${what}: validateOnDispatch must be true or false, not ${show(validateOnDispatch)}`)
  checkNames(limits, ["payloadBytes"], `${what}: limits`)
  return {
    adapter,
    observers,
    codec: codec(serializer),
    defaults,
    retention: resolveRetention(options.retention, defaultRetention, `${what}: retention`),
    events: {
      maxLength: wholeNumber(events.maxLength ?? 10_000, `${what}: events.maxLength`, 1),
      inlineBytes: wholeNumber(events.inlineBytes ?? 1024, `${what}: events.inlineBytes`, 0, 16_384),
    },
    payloadBytes: wholeNumber(
      limits.payloadBytes ?? 1_048_576,
      `${what}: limits.payloadBytes`,
      1,
      512 * 1_048_576,
    ),
    validateOnDispatch,
  }
}
