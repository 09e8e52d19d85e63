/** Redis as the processes see it, the events that they read, and what telemetry says of itself. */

import { instrument, observer, script, task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges, histograms } from "../../exporters/catalogue.ts"
import { instance, labelName, top } from "../promql.ts"
import { query, unit } from "../query.ts"
import { percentiles } from "./time.ts"

const byScript = `{{${labelName(script)}}}`
const byTask = `{{${labelName(task)}}}`

export const up = query({
  unit: unit.none,
  legend: "up",
  description:
    "1: the store answers every process. 0: at least one gets no answer; the panel below says which. Queue gauges are missing from there.",
  promql: (from) => from.smallest(gauges.storeUp),
})

export const upByInstance = query({
  unit: unit.none,
  legend: `{{${labelName(instance)}}}`,
  description:
    "Whether the store answers, by process. All at 0: look at Redis. One at 0: look at that process and its network.",
  promql: (from) => from.smallest(gauges.storeUp, { by: [instance] }),
})

export const callP95 = query({
  unit: unit.seconds,
  legend: byScript,
  description:
    "95th percentile of a call to the store, by script, as the process sees it. All slow: Redis or the network. Slow in one process only: its event loop.",
  promql: (from) => from.quantile(0.95, histograms.storeCall, { by: [script] }),
})

export const callP99 = query({
  unit: unit.seconds,
  legend: "p99",
  description: "99th percentile of all calls to the store; blocking waits are left out.",
  promql: (from) => from.quantile(0.99, histograms.storeCall),
})

export const calls = query({
  unit: unit.perSecond,
  legend: byScript,
  description: "Calls to the store per second, by script. One call may speak for many jobs.",
  promql: (from) => from.records(histograms.storeCall, { by: [script] }),
})

export const eventLag = percentiles(
  histograms.eventsLag,
  "From a transition to its delivery to a listener. Rising: a listener is slow, or the process is.",
)

export const eventLagP95 = query({
  unit: unit.seconds,
  legend: "p95",
  description: "95th percentile of how late events arrive at listeners.",
  promql: (from) => from.quantile(0.95, histograms.eventsLag),
})

export const eventsLost = query({
  unit: unit.count,
  legend: "lost",
  description:
    "Events in the time range that were trimmed before a process read them. Raise events.maxLength, or see why the process read so slowly.",
  promql: (from) => from.increase(counters.eventsLost, {}, "$__range"),
})

export const eventsDelivered = query({
  unit: unit.perSecond,
  legend: byTask,
  description:
    "Events handed to listeners per second, by task (the 20 busiest), over all processes that listen.",
  promql: (from) => top(20, from.rate(counters.eventsDelivered, { by: [task] })),
})

export const eventsLostByTask = query({
  unit: unit.perSecond,
  legend: `${byTask}, lost`,
  description: "Events lost per second, by task.",
  promql: (from) => top(20, from.rate(counters.eventsLost, { by: [task] })),
})

export const observerErrors = query({
  unit: unit.perSecond,
  legend: `{{${labelName(observer)}}}`,
  description: "Errors thrown by observers. No job was disturbed, but their telemetry is incomplete.",
  promql: (from) => from.rate(counters.observerErrors, { by: [observer] }),
})

export const overflows = query({
  unit: unit.perSecond,
  legend: `{{${labelName(instrument)}}}`,
  description:
    "Measurements that went to _OTHER: more tasks or error classes than have labels. Raise taskLimit, or name errors by fewer classes.",
  promql: (from) => from.rate(counters.seriesOverflows, { by: [instrument] }),
})

const [version, adapter] = gauges.buildInfo.attributes

export const versions = query({
  unit: unit.count,
  legend: `{{${labelName(version)}}}, {{${labelName(adapter)}}}`,
  description:
    "Processes by version of taskora and kind of store. More than one version is usual during a deploy only.",
  promql: (from) => from.value(gauges.buildInfo, { by: [version, adapter] }),
})

const [, owner, runbook] = gauges.taskInfo.attributes

export const owners = query({
  unit: unit.none,
  legend: byTask,
  description: "Who owns the task, and its own runbook, as the task's option info says.",
  promql: (from) => from.largest(gauges.taskInfo, { by: [task, owner, runbook] }),
})
