/** What flow control does to jobs and dispatches, and what becomes of jobs that failed for good. */

import { queueState, reason, task, transition } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges } from "../../exporters/catalogue.ts"
import { is, labelName, larger, top } from "../promql.ts"
import { query, unit } from "../query.ts"

const byTask = `{{${labelName(task)}}}`
const most = 20

const parked = is(queueState, "parked")
const dead = is(transition, "failed")
const revived = is(transition, "revived")

export const rejected = query({
  unit: unit.count,
  legend: "rejected",
  description:
    "Dispatches in the time range that stored no job of their own: refused by flow control, as throttle, debounce and deduplicate are meant to, or for want of something. The panel below says why.",
  promql: (from) => from.increase(counters.jobsRejected, {}, "$__range"),
})

export const refused = query({
  unit: unit.perSecond,
  legend: `{{${labelName(reason)}}}`,
  description:
    "Dispatches that were refused, by reason. throttled, duplicate and debounced are flow control at work; all others are errors that the callers were told.",
  promql: (from) => from.rate(counters.jobsRejected, { by: [reason] }),
})

export const expired = query({
  unit: unit.perSecond,
  legend: byTask,
  description: `Jobs that were not started within their ttl, by task (the ${most} most). Any: there were too few slots for that time.`,
  promql: (from) => top(most, from.rate(counters.jobsExpired, { by: [task] })),
})

export const parkedJobs = query({
  unit: unit.count,
  legend: "parked",
  description:
    "Jobs that wait for a slot of their concurrency key; more workers do not help them. A lasting pile is one key with more work than its limit lets through.",
  promql: (from) => from.value(gauges.queueJobs, { where: [parked] }),
})

export const parkedByTask = query({
  unit: unit.count,
  legend: byTask,
  description: `Jobs that wait for a slot of their concurrency key, by task (the ${most} most). inspect().parked() lists them.`,
  promql: (from) => top(most, from.value(gauges.queueJobs, { by: [task], where: [parked] })),
})

export const pausedTasks = query({
  unit: unit.count,
  legend: "paused",
  description: "Tasks that are paused now: none of their jobs begins, in any process, until resume().",
  promql: (from) => from.value(gauges.taskPaused),
})

export const pausedByTask = query({
  unit: unit.none,
  legend: byTask,
  description: `1 while the task is paused, else 0 (${most} tasks, the paused ones first). A pause outlives every process: somebody must end it.`,
  promql: (from) => top(most, from.value(gauges.taskPaused, { by: [task] })),
})

export const dying = query({
  unit: unit.count,
  legend: "failed",
  description:
    "Jobs in the time range that failed for good. They are kept as long as retention.failed says, and can be looked at, retried or discarded: taskora.deadLetters.",
  promql: (from) =>
    larger(
      from.increase(counters.clusterTransitions, { where: [dead] }, "$__range"),
      from.increase(counters.jobsFailed, {}, "$__range"),
    ),
})

export const lettersByTask = query({
  unit: unit.perSecond,
  legend: `${byTask}, failed`,
  description: `Jobs that became dead letters, and those that were given another life by hand, by task (the ${most} most).`,
  promql: (from) => top(most, from.rate(counters.clusterTransitions, { by: [task], where: [dead] })),
})

export const revivedByTask = query({
  unit: unit.perSecond,
  legend: `${byTask}, revived`,
  description: "Failed jobs that were retried by hand, by task.",
  promql: (from) => top(most, from.rate(counters.clusterTransitions, { by: [task], where: [revived] })),
})
