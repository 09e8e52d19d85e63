import { dateOf } from "../model/clock.ts"
import { type Duration, durationMs, show } from "../model/duration.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import { cronTimes } from "./cron.ts"

/** What a schedule does with times at which nobody was there to fire. */
export type OnMissed = "skip" | "catch-up" | `catch-up-limit:${number}`

type Times =
  | {
      /** From one slot to the next, at least 100 ms; the first one comes so long after the first registration. */
      readonly every: Duration
      readonly cron?: undefined
      readonly timezone?: undefined
    }
  | {
      /** Minute, hour, day of the month, month, weekday; with seconds before them where there are six fields. */
      readonly cron: string
      /** Where the cron's clock hangs. Default "UTC". */
      readonly timezone?: string
      readonly every?: undefined
    }

interface Conduct<In> {
  /** What every firing's job gets. */
  readonly data?: In
  /**
   * Slots that nobody fired in time (within a minute, and before the following one). `skip`, the default: they are left
   * out. `catch-up`: all of them are fired. `catch-up-limit:N`: the last N of them are.
   */
  readonly onMissed?: OnMissed
  /** False: nothing is fired while the job of the last firing has not ended. Default true. */
  readonly overlap?: boolean
  /** Each firing comes later than its slot by a random time up to this, never by as much as the next slot. Default 0. */
  readonly jitter?: Duration
}

/** A schedule of the task that it is written in. */
export type TaskSchedule<In = unknown> = Times & Conduct<In>

/** A task as schedules know it. */
export interface ScheduledTask<In = never> {
  readonly name: string
  dispatch(data: In): unknown
}

export type ScheduleOptions<In = unknown> = TaskSchedule<In> & {
  /** The task, or the name of one declared in this app. */
  readonly task: ScheduledTask<In> | string
}

/** What `schedules.update()` changes; what is not named stays. `every` takes the place of a cron, and the other way round. */
export type ScheduleChanges<In = unknown> = {
  readonly task?: ScheduledTask<In> | string
  readonly every?: Duration
  readonly cron?: string
  readonly timezone?: string
} & Conduct<In>

/** A schedule as it is stored: every option resolved, the data as text. */
export interface ScheduleDefinition {
  readonly task: string
  readonly everyMs?: number
  readonly cron?: string
  readonly timezone?: string
  readonly onMissed: OnMissed
  readonly overlap: boolean
  readonly jitterMs: number
  /** Of its jobs, as `enqueue.lua` takes them: what their task says of each. */
  readonly options: string
  /** Serialized; "" for undefined. */
  readonly data: string
}

const timeNames = ["every", "cron", "timezone"]
const conductNames = ["data", "onMissed", "overlap", "jitter"]
/** Options of a schedule that is written in its task. */
export const taskScheduleNames = [...timeNames, ...conductNames]
const optionNames = ["task", ...taskScheduleNames]
const leastEveryMs = 100
const mostKept = 500

export function checkScheduleName(name: unknown): string {
  if (typeof name === "string" && /^[A-Za-z0-9_\-.:/]{1,100}$/.test(name)) return name
  throw invalid(
    `schedule name ${show(name)} is not allowed; use 1 to 100 characters of A-Z a-z 0-9 _ - . : /`,
  )
}

type Given = Partial<Record<"task" | "every" | "cron" | "timezone" | keyof Conduct<unknown>, unknown>>

/** How a definition is made: `taskOf` checks a task's name, `options` gives those of jobs with this data, `encode` their data. */
export interface ScheduleRules {
  taskOf(task: unknown): string
  options(task: string, data: unknown): string
  encode(data: unknown, task: string): string
}

/** @throws TaskoraError (`INVALID`) naming what is wrong */
export function resolveSchedule(what: string, given: object, rules: ScheduleRules): ScheduleDefinition {
  checkNames(given, optionNames, what)
  const { task, data, onMissed = "skip", overlap = true, jitter = 0, ...times } = given as Given
  const name = rules.taskOf(task)
  const resolved = resolveTimes(what, times)
  if (!isOnMissed(onMissed))
    throw invalid(
      `${what}: onMissed must be "skip", "catch-up" or "catch-up-limit:N" with N from 1 to ${mostKept}, not ${show(onMissed)}`,
    )
  if (typeof overlap !== "boolean")
    throw invalid(`${what}: overlap must be true or false, not ${show(overlap)}`)
  const jitterMs = durationMs(jitter, `${what}: jitter`)
  if (resolved.everyMs !== undefined && jitterMs >= resolved.everyMs)
    throw invalid(`${what}: jitter must be shorter than every (${resolved.everyMs} ms), not ${show(jitter)}`)
  return {
    task: name,
    ...resolved,
    onMissed,
    overlap,
    jitterMs,
    options: rules.options(name, data),
    data: rules.encode(data, name),
  }
}

function resolveTimes(what: string, { every, cron, timezone }: Given) {
  if (every !== undefined && cron !== undefined) throw invalid(`${what}: give every or cron, not both`)
  if (every !== undefined) {
    if (timezone !== undefined) throw invalid(`${what}: timezone belongs to cron; every has none`)
    return { everyMs: durationMs(every, `${what}: every`, leastEveryMs) }
  }
  if (cron === undefined)
    throw invalid(`${what}: every or cron is missing; give one, such as every: "5m" or cron: "30 2 * * *"`)
  const zone = timezone ?? "UTC"
  // Read here for its errors alone.
  cronTimes(cron as string, zone as string, what)
  return { cron: cron as string, timezone: zone as string }
}

/** The definition with some of its options changed. @throws TaskoraError (`INVALID`) */
export function changeSchedule(
  what: string,
  old: ScheduleDefinition,
  changes: object,
  rules: ScheduleRules,
): ScheduleDefinition {
  checkNames(changes, optionNames, what)
  const { everyMs, cron, timezone, jitterMs, options: _, data, ...rest } = old
  const given = Object.fromEntries(
    Object.entries(changes).filter(([, value]) => value !== undefined),
  ) as Given
  const newTimes = given.every !== undefined || given.cron !== undefined
  const times = newTimes
    ? given.cron !== undefined && timezone
      ? { timezone }
      : {}
    : everyMs === undefined
      ? { cron, timezone }
      : { every: everyMs }
  const changed = resolveSchedule(what, { ...rest, jitter: jitterMs, ...times, ...given }, rules)
  return "data" in given ? changed : { ...changed, data }
}

function isOnMissed(value: unknown): value is OnMissed {
  if (value === "skip" || value === "catch-up") return true
  const [, most] = /^catch-up-limit:(\d{1,3})$/.exec(String(value)) ?? []
  return most !== undefined && Number(most) >= 1 && Number(most) <= mostKept
}

/** How many of the slots that were missed are fired. */
export function keptOf(onMissed: OnMissed): number {
  if (onMissed === "skip") return 0
  return onMissed === "catch-up"
    ? Number.POSITIVE_INFINITY
    : wholeNumber(Number(onMissed.split(":")[1]), "N", 1)
}

/** Whether two definitions have the same slots, so that a change from one to the other keeps the next run. */
export function sameTimes(a: ScheduleDefinition, b: ScheduleDefinition): boolean {
  return a.everyMs === b.everyMs && a.cron === b.cron && a.timezone === b.timezone
}

/** The text under which a definition is stored and compared. */
export function encodeDefinition(definition: ScheduleDefinition): string {
  const { task, everyMs, cron, timezone, onMissed, overlap, jitterMs, options, data } = definition
  return JSON.stringify({ task, everyMs, cron, timezone, onMissed, overlap, jitterMs, options, data })
}

/** The definition by which a stored schedule goes. */
export function decodeDefinition(texts: { readonly declared: string; readonly current: string }) {
  return JSON.parse(texts.current === "" ? texts.declared : texts.current) as ScheduleDefinition
}

/** The id of a slot's job. */
export function firingId(schedule: string, slot: number): string {
  return `${schedule}@${dateOf(slot).toISOString()}`
}
