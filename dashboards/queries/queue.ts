/** What waits, how long already, and when it will be done. */

import { objective, queueState, task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges, type Instrument } from "../../exporters/catalogue.ts"
import { aggregate, is, job, labelName, type PromQL, prefix, top } from "../promql.ts"
import { query, unit } from "../query.ts"

export const waiting = is(queueState, "waiting")
export const active = is(queueState, "active")

const byTask = `{{${labelName(task)}}}`
const most = 20

/** The one place that turns a time into an age. Nothing where nothing waits. */
export function ageOf(oldest: string): string {
  return `time() - (${oldest} > 0)`
}

/** When a queue of this depth and this slope is empty: 0 where it is, infinite where it is not falling. */
export function timeToDrain(depth: string, slope: string): string {
  return `(${depth} == 0) or (${depth} / clamp_min(-${slope}, 0))`
}

function depthOf(from: PromQL): string {
  return from.value(gauges.queueJobs, { where: [waiting] })
}

/** Ages by task, and 0 for a task that has nothing to wait for. An age is taken in each cluster before any are compared. */
function agesByTask(from: PromQL): string {
  const oldest = from.largest(gauges.queueOldest, { by: [job, prefix, task] })
  return aggregate("max", [task], `(${ageOf(oldest)}) or (${oldest} * 0)`)
}

export const depth = query({
  unit: unit.count,
  legend: "waiting",
  description: "Jobs that could run now and wait for a slot. Growing: more workers, or a slower source.",
  promql: depthOf,
})

export const depthByState = query({
  unit: unit.count,
  legend: `{{${labelName(queueState)}}}`,
  description:
    "Jobs in the queue. waiting: could run now. delayed: not due yet, or between two attempts. active: running.",
  promql: (from) => from.value(gauges.queueJobs, { by: [queueState] }),
})

export const depthByTask = query({
  unit: unit.count,
  legend: byTask,
  description: `Waiting jobs by task (the ${most} longest queues).`,
  promql: (from) => top(most, from.value(gauges.queueJobs, { by: [task], where: [waiting] })),
})

export const activeJobs = query({
  unit: unit.count,
  legend: "active",
  description: "Jobs that are running now.",
  promql: (from) => from.value(gauges.queueJobs, { where: [active] }),
})

export const oldest = query({
  unit: unit.seconds,
  legend: "oldest",
  description:
    "Age of the job that has waited longest since it could run. This is what users feel: if it rises, work arrives faster than it is done.",
  promql: (from) => aggregate("max", [], agesByTask(from)),
})

export const oldestByTask = query({
  unit: unit.seconds,
  legend: byTask,
  description: `Age of the oldest waiting job, by task (the ${most} oldest).`,
  promql: (from) => top(most, agesByTask(from)),
})

export const drain = query({
  unit: unit.seconds,
  legend: "to empty",
  description:
    "How long until nothing waits, at the pace of the last five minutes. Infinite: the queue is not falling, and needs more slots or fewer jobs.",
  promql: (from) => timeToDrain(depthOf(from), `deriv((${depthOf(from)})[5m:15s])`),
})

export const workers = query({
  unit: unit.count,
  legend: "workers",
  description:
    "Live worker processes, as the store knows them. None: nothing runs at all; start workers or see why they exit.",
  promql: (from) => from.value(gauges.workers),
})

export const taskWorkers = query({
  unit: unit.count,
  legend: "workers",
  description: "Live worker processes that run this task. None while jobs wait: nobody will take them.",
  promql: (from) => from.value(gauges.taskWorkers),
})

/** Objectives: what was promised, and what is left of the promise. */
const byObjective = `{{${labelName(objective)}}}`

export function breachRatio(from: PromQL, by: Parameters<typeof from.rate>[1] = {}): string {
  const [breaches, events] = [counters.objectiveBreaches, counters.objectiveEvents].map((counter) =>
    from.rate(counter, by),
  )
  return `(${breaches} / (${events} > 0)) or (${breaches} * 0)`
}

export const objectivesMet = query({
  unit: unit.share,
  legend: byObjective,
  description:
    "Share of events that met their objective: jobs that succeeded, claims in time, attempts in time. Compare with the target.",
  promql: (from) => `1 - (${breachRatio(from, { by: [objective] })})`,
})

export const objectiveTargets = query({
  unit: unit.share,
  legend: `${byObjective}, target`,
  description: "The share that was promised.",
  promql: (from) => from.largest(gauges.objectiveTarget, { by: [objective] }),
})

export const burnRate = query({
  unit: unit.none,
  legend: byObjective,
  description:
    "How many times faster than allowed the error budget is spent. 1 spends it exactly; 14.4 spends that of 30 days in two.",
  promql: (from) =>
    `(${breachRatio(from, { by: [objective] })}) / (1 - ${from.largest(gauges.objectiveTarget, { by: [objective] })})`,
})

export const budgetLeft = query({
  unit: unit.share,
  legend: byObjective,
  description:
    "What is left of the error budget of the time range shown. Below zero: the objective is missed over this range.",
  promql: (from) => {
    const over = (counter: Instrument<"counter">) => from.increase(counter, { by: [objective] }, "$__range")
    const allowed = `(1 - ${from.largest(gauges.objectiveTarget, { by: [objective] })})`
    return `1 - ${over(counters.objectiveBreaches)} / (${over(counters.objectiveEvents)} > 0) / ${allowed}`
  },
})
