import type { Context, MiddlewareContext } from "../model/context.ts"
import { type Duration, durationMs, show } from "../model/duration.ts"
import type { Objectives, TraceRelation } from "../model/observer.ts"
import {
  checkNames,
  invalid,
  type Retention,
  type RetentionOptions,
  resolveRetention,
  wholeNumber,
} from "../model/options.ts"
import { type CheckOptions, type Checks, checkOptionNames, resolveChecks } from "./checks.ts"
import { type Flow, type FlowOptions, flowOptionNames, resolveFlow, resolveSingleton } from "./flow.ts"
import type { Middleware } from "./middleware.ts"
import { noRetry, type Retry, type RetryOptions, resolveRetry } from "./retry.ts"
import { type TaskSchedule, taskScheduleNames } from "./schedule.ts"
import type { VersionOptions } from "./versions.ts"

export type Handler<In = unknown, Out = unknown> = (data: In, ctx: Context) => Out | Promise<Out>

export interface ObjectiveOptions {
  /** Share of ended jobs (cancelled ones apart) that complete, above 0 and below 1. */
  readonly success?: number
  /** Share of claims that come within a time of the job's becoming eligible; exactly that time meets it. */
  readonly wait?: { readonly within: Duration; readonly target: number }
  /** Share of completed attempts that take no longer; exactly that time meets it. */
  readonly duration?: { readonly within: Duration; readonly target: number }
}

/** Options of a task without schemas. */
export interface TaskOptions<In = unknown, Out = unknown> extends VersionOptions, FlowOptions<In> {
  readonly input?: undefined
  readonly output?: undefined
  readonly handler?: Handler<In, Out>
  /** Runs at once in this process. Default 1. */
  readonly concurrency?: number
  /** Longest run of one attempt. Default 30 s; 0 for none. */
  readonly timeout?: Duration
  /** Default: no retry. */
  readonly retry?: RetryOptions
  /** `interval`: lease of a run (default 30 s). `maxCount`: recoveries before the job fails (default 1). */
  readonly stall?: { readonly interval?: Duration; readonly maxCount?: number }
  readonly middleware?: readonly Middleware<MiddlewareContext>[]
  /** Runs on the worker that ran the job, after the abort, for at most 5 s. */
  readonly onCancel?: (data: In, ctx: Context) => unknown
  readonly retention?: RetentionOptions
  /** Shown by metrics, dashboards and alerts. */
  readonly info?: { readonly owner?: string; readonly runbook?: string }
  readonly objectives?: ObjectiveOptions
  readonly trace?: { readonly relation?: TraceRelation }
  /** Dispatches jobs by the clock, as a schedule under the task's name. */
  readonly schedule?: TaskSchedule<In>
}

/** Options of any task. */
export type AnyTaskOptions<In = unknown, Out = unknown> = Omit<TaskOptions<In, Out>, "input" | "output"> &
  CheckOptions

/** A task as the engine uses it: every option resolved. */
export interface Definition {
  readonly name: string
  readonly handler: Handler | undefined
  readonly concurrency: number
  readonly timeoutMs: number
  /** Undefined where the user configured no retry: it runs once, and messages speak of no total. */
  readonly retry: Retry | undefined
  readonly leaseMs: number
  readonly maxStalls: number
  readonly middleware: readonly Middleware<MiddlewareContext>[]
  readonly onCancel: ((data: unknown, ctx: Context) => unknown) | undefined
  readonly retention: Retention
  readonly info: { readonly owner?: string; readonly runbook?: string }
  readonly objectives: Objectives | undefined
  readonly relation: TraceRelation | undefined
  /** At most one job of the task is active in all processes. */
  readonly singleton: boolean
  readonly flow: Flow
  /** Undefined for a task without schemas and versions. */
  readonly checks: Checks | undefined
  /** Of the data that is dispatched here, and the newest that is claimed. */
  readonly version: number
  readonly schedule: TaskSchedule | undefined
}

export type TaskDefaults = Pick<TaskOptions, "retry" | "timeout" | "concurrency" | "stall">

export const taskOptionNames = [
  "handler",
  "concurrency",
  "timeout",
  "retry",
  "stall",
  "middleware",
  "onCancel",
  "retention",
  "info",
  "objectives",
  "trace",
  ...checkOptionNames,
  "schedule",
  ...flowOptionNames,
]

/** Resolves a task's options over the app's defaults. @throws TaskoraError (`INVALID`) naming what is wrong */
export function define(
  name: string,
  own: AnyTaskOptions,
  defaults: TaskDefaults,
  retention: Retention,
): Definition {
  const what = `task "${name}"`
  checkNames(own, taskOptionNames, what)
  const { handler, middleware = [], onCancel, info = {} } = own
  if (handler !== undefined && typeof handler !== "function")
    throw invalid(`${what}: handler must be a function`)
  if (onCancel !== undefined && typeof onCancel !== "function")
    throw invalid(`${what}: onCancel must be a function`)
  if (!Array.isArray(middleware) || middleware.some((item) => typeof item !== "function"))
    throw invalid(`${what}: middleware must be a list of functions`)
  checkNames(info, ["owner", "runbook"], `${what}: info`)
  const checks = resolveChecks(own, what)
  if (own.schedule !== undefined) checkNames(own.schedule, taskScheduleNames, `${what}: schedule`)
  const singleton = resolveSingleton(own, what)
  return {
    name,
    handler: handler as Handler | undefined,
    ...resolveDefaults(own, what, singleton ? { ...defaults, concurrency: 1 } : defaults),
    singleton,
    flow: resolveFlow(own as FlowOptions<never>, what),
    middleware: middleware as readonly Middleware<MiddlewareContext>[],
    onCancel: onCancel as Definition["onCancel"],
    retention: resolveRetention(own.retention, retention, `${what}: retention`),
    info,
    objectives: resolveObjectives(own.objectives, `${what}: objectives`),
    relation: resolveRelation(own.trace, what),
    checks,
    version: checks?.versions.version ?? 1,
    schedule: own.schedule,
  }
}

/** What of a task the app's defaults may say. */
type Shared = Pick<Definition, "concurrency" | "timeoutMs" | "retry" | "leaseMs" | "maxStalls">

/** Resolves these options over others; what is undefined says nothing. @throws TaskoraError (`INVALID`) */
export function resolveDefaults(own: TaskDefaults, what: string, under: TaskDefaults = {}): Shared {
  const { stall = {} } = own
  checkNames(stall, ["interval", "maxCount"], `${what}: stall`)
  const retry = own.retry ?? under.retry
  return {
    concurrency: wholeNumber(own.concurrency ?? under.concurrency ?? 1, `${what}: concurrency`, 1, 10_000),
    timeoutMs: durationMs(own.timeout ?? under.timeout ?? 30_000, `${what}: timeout`),
    retry: retry === undefined ? undefined : resolveRetry(retry, `${what}: retry`),
    leaseMs: durationMs(stall.interval ?? under.stall?.interval ?? 30_000, `${what}: stall.interval`, 10),
    maxStalls: wholeNumber(stall.maxCount ?? under.stall?.maxCount ?? 1, `${what}: stall.maxCount`, 0),
  }
}

/** The rules by which an error is judged, whether or not the user configured any. */
export function retryOf(definition: Definition): Retry {
  return definition.retry ?? noRetry
}

const relations = ["auto", "parent", "link"]

export function resolveRelation(trace: { readonly relation?: TraceRelation } | undefined, what: string) {
  if (trace === undefined) return undefined
  checkNames(trace, ["relation"], `${what}: trace`)
  if (trace.relation !== undefined && !relations.includes(trace.relation))
    throw invalid(`${what}: trace.relation must be "auto", "parent" or "link"`)
  return trace.relation
}

function resolveObjectives(options: ObjectiveOptions | undefined, what: string): Objectives | undefined {
  if (options === undefined) return undefined
  checkNames(options, ["success", "wait", "duration"], what)
  const share = (value: unknown, of: string): number => {
    if (typeof value === "number" && value > 0 && value < 1) return value
    throw invalid(`${what}.${of} must be a number above 0 and below 1, such as 0.99, not ${show(value)}`)
  }
  const bound = (kind: "wait" | "duration") => {
    const given = options[kind]
    if (given === undefined) return {}
    checkNames(given, ["within", "target"], `${what}.${kind}`)
    const withinMs = durationMs(given.within, `${what}.${kind}.within`, 1)
    return { [kind]: { withinMs, target: share(given.target, `${kind}.target`) } }
  }
  return {
    ...(options.success === undefined ? {} : { success: share(options.success, "success") }),
    ...bound("wait"),
    ...bound("duration"),
  }
}
