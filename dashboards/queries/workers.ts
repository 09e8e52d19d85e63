/** The processes that do the work. */

import { action, errorKind, slotState, task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges, histograms, runtimeGauges } from "../../exporters/catalogue.ts"
import { instance, is, job, labelName, type PromQL, ratio, top } from "../promql.ts"
import { query, unit } from "../query.ts"
import { percentiles } from "./time.ts"

const byInstance = `{{${labelName(instance)}}}`
const byTask = `{{${labelName(task)}}}`
const most = 20

export const busy = is(slotState, "busy", "abandoned")

function busyBy(from: PromQL, by: { readonly by?: readonly (typeof instance)[] } = {}): string {
  return ratio(from.value(gauges.workerSlots, { ...by, where: [busy] }), from.value(gauges.workerSlots, by))
}

export const busyRatio = query({
  unit: unit.share,
  legend: "busy",
  description:
    "Share of the slots that run something; abandoned ones count, since nothing else can run there. Near 100 % while jobs wait: add workers or concurrency.",
  promql: (from) => busyBy(from),
})

export const busyByInstance = query({
  unit: unit.share,
  legend: byInstance,
  description:
    "Busy share of the slots by process. One idle process among busy ones may have lost its connection.",
  promql: (from) => busyBy(from, { by: [instance] }),
})

export const busyByTask = query({
  unit: unit.share,
  legend: byTask,
  description: `Busy share of the slots by task (the ${most} busiest). A task at 100 % needs more concurrency.`,
  promql: (from) => top(most, busyBy(from, { by: [task] })),
})

export const slots = query({
  unit: unit.count,
  legend: `{{${labelName(slotState)}}}`,
  description:
    "Slots of all workers. abandoned: a handler goes on after its attempt was ended, because it ignores its signal.",
  promql: (from) => from.value(gauges.workerSlots, { by: [slotState] }),
})

export const totalSlots = query({
  unit: unit.count,
  legend: "slots",
  description: "Slots of all workers: how many jobs can run at once.",
  promql: (from) => from.value(gauges.workerSlots),
})

/**
 * By the time of the start. The counters of starts and shutdowns move while nobody looks: a process starts its workers
 * before its first scrape, and shuts down after its last.
 */
function startsOf(from: PromQL): { readonly now: string; readonly before: string } {
  const by = [job, instance]
  return {
    now: from.largest(gauges.workerStart, { by }),
    before: from.largestBefore(gauges.workerStart, { by }),
  }
}

export const starts = query({
  unit: unit.count,
  legend: "started",
  description:
    "Processes whose workers have started, and those that are gone. Usual at a deploy; at any other time processes crash and are started again.",
  promql: (from) => {
    const { now, before } = startsOf(from)
    return `count(${now} unless ${now} == ${before}) or vector(0)`
  },
})

export const gone = query({
  unit: unit.count,
  legend: "gone",
  description: "Processes that are no longer there, or were started anew: closed in order, or killed.",
  promql: (from) => {
    const { now, before } = startsOf(from)
    return `count(${before} unless ${before} == ${now}) or vector(0)`
  },
})

export const uptime = query({
  unit: unit.seconds,
  legend: byInstance,
  description: "How long ago each process started its workers. Saw teeth: it is restarted again and again.",
  promql: (from) => `time() - ${from.largest(gauges.workerStart, { by: [instance] })}`,
})

export const errors = query({
  unit: unit.perSecond,
  legend: `{{${labelName(errorKind)}}}`,
  description:
    "What was reported on worker:error, by kind. connection: Redis was not reachable. listener: code of yours that listens threw.",
  promql: (from) => from.rate(counters.workerErrors, { by: [errorKind] }),
})

export const stallsByAction = query({
  unit: unit.perSecond,
  legend: `{{${labelName(action)}}}`,
  description:
    "Jobs whose worker vanished. recovered: they run again. failed: they stalled too often. See which processes were killed at that time.",
  promql: (from) => from.rate(counters.jobsStalled, { by: [action] }),
})

export const leasesLost = query({
  unit: unit.count,
  legend: "lost",
  description:
    "Attempts in the time range that went on without knowing that another worker had taken over: a blocked event loop, or a network that was away for longer than the lease.",
  promql: (from) => from.increase(counters.leasesLost, {}, "$__range"),
})

export const leasesLostByTask = query({
  unit: unit.perSecond,
  legend: byTask,
  description: `Leases lost by tasks (the ${most} worst). Compare with the delay of the event loop below.`,
  promql: (from) => top(most, from.rate(counters.leasesLost, { by: [task] })),
})

export const recovery = percentiles(
  histograms.stallRecovery,
  "From a lease's deadline to the recovery of its job: how long a dead worker's jobs lie still beyond their lease.",
)

const loop =
  "The event loop's delay. Blocked for longer than half a lease, a process loses its jobs to others."

export const loopDelayP99 = query({
  unit: unit.seconds,
  legend: `${byInstance}, p99`,
  description: loop,
  promql: (from) => from.largest(runtimeGauges.loopDelayP99, { by: [instance] }),
})

export const loopDelayP50 = query({
  unit: unit.seconds,
  legend: `${byInstance}, p50`,
  description: loop,
  promql: (from) => from.largest(runtimeGauges.loopDelayP50, { by: [instance] }),
})

export const loopUtilization = query({
  unit: unit.share,
  legend: byInstance,
  description:
    "Share of the time in which the event loop was busy. Near 100 %: handlers compute; move the work out of the process or lower the concurrency.",
  promql: (from) => from.largest(runtimeGauges.loopUtilization, { by: [instance] }),
})

export const heapUsed = query({
  unit: unit.bytes,
  legend: byInstance,
  description: "Heap in use. A line that only rises is a leak, and ends in a killed process and stalls.",
  promql: (from) => from.value(runtimeGauges.heapUsed, { by: [instance] }),
})

export const heapAllocated = query({
  unit: unit.bytes,
  legend: `${byInstance}, allocated`,
  description: "Heap that the runtime has taken.",
  promql: (from) => from.value(runtimeGauges.heapLimit, { by: [instance] }),
})
