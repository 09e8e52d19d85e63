/** Whether what should happen by the clock happens, and when. */

import { schedule, skipReason } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges, histograms } from "../../exporters/catalogue.ts"
import { labelName, type PromQL, top } from "../promql.ts"
import { query, unit } from "../query.ts"
import { percentiles } from "./time.ts"

const bySchedule = `{{${labelName(schedule)}}}`
const most = 20

/** When each schedule fires next, where it is neither paused nor at its end. */
export function nextRun(from: PromQL, by: readonly (typeof schedule)[] = [schedule]): string {
  return `(${from.largest(gauges.scheduleNext, { by })} > 0)`
}

const late =
  "From the time at which a slot should have fired to its job's being stored. Rising: the processes that fire are busy, or Redis is slow."

export const lateness = percentiles(histograms.scheduleLateness, late)

export const latenessP95 = query({
  unit: unit.seconds,
  legend: "p95",
  description: "95th percentile of how late schedules fire. Usually far below a second.",
  promql: (from) => from.quantile(0.95, histograms.scheduleLateness),
})

export const missed = query({
  unit: unit.count,
  legend: "missed",
  description:
    "Slots in the time range that were left out, because no process that declares the schedule was there in time.",
  promql: (from) => from.increase(counters.scheduleMissed, {}, "$__range"),
})

export const missedBySchedule = query({
  unit: unit.perSecond,
  legend: `${bySchedule}, missed`,
  description: `Slots that were left out, by schedule (the ${most} most): missed, because nobody fired them in time; skipped, because the job before had not ended (overlap).`,
  promql: (from) => top(most, from.rate(counters.scheduleMissed, { by: [schedule] })),
})

export const skippedBySchedule = query({
  unit: unit.perSecond,
  legend: `${bySchedule}, skipped: {{${labelName(skipReason)}}}`,
  description: "Slots that were due and left out, by schedule and reason.",
  promql: (from) => top(most, from.rate(counters.scheduleSkipped, { by: [schedule, skipReason] })),
})

export const next = query({
  unit: unit.seconds,
  legend: bySchedule,
  description:
    "Time until the next run, by schedule; paused ones are left out. One that stays at 0 is late: no process fires it.",
  promql: (from) => `clamp_min(${nextRun(from)} - time(), 0)`,
})
