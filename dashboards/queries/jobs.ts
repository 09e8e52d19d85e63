/** What happens to jobs, and how much of it is failure. */

import {
  cause,
  errorType,
  reason,
  task,
  transition,
  willRetry,
} from "../../exporters/catalogue/attributes.ts"
import { counters, histograms } from "../../exporters/catalogue.ts"
import { is, labelName, larger, type Matcher, type PromQL, ratio, top } from "../promql.ts"
import { type Query, query, unit } from "../query.ts"

type Transition = (typeof transition.values)[number]

const cancelled = ["cancelled_waiting", "cancelled_delayed", "cancelled_active"] as const
export const ended = is(transition, "completed", "failed", ...cancelled)
export const judged = is(transition, "completed", "failed")
export const failed = is(transition, "failed")
export const stalled = is(transition, "stalled_recovered", "stalled_failed")

const byTask = `{{${labelName(task)}}}`
/** More lines than this say nothing. */
const most = 20

function clusterRate(from: PromQL, where: Matcher): string {
  return from.rate(counters.clusterTransitions, { where: [where] })
}

function clusterRateByTask(from: PromQL, where: Matcher): string {
  return from.rate(counters.clusterTransitions, { by: [task], where: [where] })
}

/** As the store counted it: what short-lived processes did, and what crashed ones did, is in it. */
function flow(legend: string, description: string, ...transitions: readonly Transition[]): Query {
  return query({
    unit: unit.perSecond,
    legend,
    description,
    promql: (from) => clusterRate(from, is(transition, ...transitions)),
  })
}

export const flows: readonly Query[] = [
  flow("dispatched", "Jobs stored.", "dispatched"),
  flow("started", "Attempts begun; more than dispatched means retries.", "started"),
  flow("completed", "Jobs done.", "completed"),
  flow("failed", "Jobs failed for good.", "failed"),
  flow("retried", "Retries scheduled.", "retried"),
  flow("cancelled", "Jobs cancelled, in whatever state.", ...cancelled),
  flow("released", "Attempts handed back by workers that shut down: seen at deploys.", "released"),
]

export const throughput = query({
  unit: unit.perSecond,
  legend: "ended",
  description:
    "Jobs that completed, failed or were cancelled, per second, in the whole cluster. Zero while jobs wait: look at workers first.",
  promql: (from) => clusterRate(from, ended),
})

export const failureRatio = query({
  unit: unit.share,
  legend: "failed",
  description:
    "Share of the jobs that completed or failed which failed for good; retries that succeed are not in it. If it is red, see which task and which error in the tables below.",
  promql: (from) => ratio(clusterRate(from, failed), clusterRate(from, judged)),
})

export const stalls = query({
  unit: unit.count,
  legend: "stalled",
  description:
    "Jobs in the time range whose worker vanished: killed, out of memory, or its event loop blocked for longer than the lease. Any is worth a look at Workers & Redis.",
  // Each process knows the store's count for its own life only; the processes' counts begin at their first scrape.
  promql: (from) =>
    larger(
      from.increase(counters.clusterTransitions, { where: [stalled] }, "$__range"),
      from.increase(counters.jobsStalled, {}, "$__range"),
    ),
})

export const completedByTask = query({
  unit: unit.perSecond,
  legend: byTask,
  description: `Jobs completed per second, by task (the ${most} busiest).`,
  promql: (from) => top(most, clusterRateByTask(from, is(transition, "completed"))),
})

export const failedByTask = query({
  unit: unit.perSecond,
  legend: byTask,
  description: `Jobs failed for good per second, by task (the ${most} worst). Open the task's dashboard for the errors.`,
  promql: (from) => top(most, clusterRateByTask(from, failed)),
})

export const failureRatioByTask = query({
  unit: unit.share,
  legend: byTask,
  description: "Share of the task's ended jobs that failed for good.",
  promql: (from) => top(10, ratio(clusterRateByTask(from, failed), clusterRateByTask(from, judged))),
})

export const failedRateByTask = query({
  unit: unit.perSecond,
  legend: byTask,
  description: "Jobs of the task that failed for good, per second.",
  promql: (from) => clusterRateByTask(from, failed),
})

export const attemptsFailedByError = query({
  unit: unit.perSecond,
  legend: `{{${labelName(errorType)}}}`,
  description:
    "Failed attempts by the class of the error, retried ones included. _OTHER is what has no proper class name, or came after too many others.",
  promql: (from) => top(most, from.rate(counters.attemptsFailed, { by: [errorType] })),
})

export const attemptsFailedByRetry = query({
  unit: unit.perSecond,
  legend: `will retry: {{${labelName(willRetry)}}}`,
  description: "Failed attempts that get another one, and those that were the last.",
  promql: (from) => from.rate(counters.attemptsFailed, { by: [willRetry] }),
})

export const failedByCause = query({
  unit: unit.perSecond,
  legend: `{{${labelName(cause)}}}`,
  description:
    "Why jobs failed for good. timeout: the handler takes longer than its option allows. stalled: their workers vanished too often.",
  promql: (from) => from.rate(counters.jobsFailed, { by: [cause] }),
})

export const rejectedByReason = query({
  unit: unit.perSecond,
  legend: `{{${labelName(reason)}}}`,
  description:
    "Dispatches that stored nothing. connection and unconfirmed: Redis was away. store_full: it has no memory left. The caller was told in each case.",
  promql: (from) => from.rate(counters.jobsRejected, { by: [reason] }),
})

export const attemptsPerJob = query({
  unit: unit.count,
  legend: "average",
  description:
    "Attempts that a finished job took on average. Above 1: something fails and is retried, which costs capacity.",
  promql: (from) => from.average(histograms.jobAttempts),
})

export const progress = query({
  unit: unit.perSecond,
  legend: "reports",
  description: "Progress reports stored. Active jobs without any report and without an outcome may hang.",
  promql: (from) => from.rate(counters.progressReports),
})
