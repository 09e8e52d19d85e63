/** How workflows fare as wholes; their jobs count under their tasks. */

import { workflowOutcome } from "../../exporters/catalogue/attributes.ts"
import { type Attribute, counters, gauges, histograms, type Instrument } from "../../exporters/catalogue.ts"
import { is, type PromQL, ratio } from "../promql.ts"
import { type Query, query, unit } from "../query.ts"

function flow(legend: string, counter: Instrument<"counter">): Query {
  return query({
    unit: unit.perSecond,
    legend,
    description:
      "Workflows per second that began and that ended, each counted in the process that did it. Started above the others for long: they pile up.",
    promql: (from) => from.rate(counter),
  })
}

export const flows: readonly Query[] = [
  flow("started", counters.workflowsStarted),
  flow("completed", counters.workflowsCompleted),
  flow("failed", counters.workflowsFailed),
  flow("cancelled", counters.workflowsCancelled),
]

/** Of the workflows that completed or failed. */
export function failedShare(from: PromQL, by: readonly Attribute[] = []): string {
  const failed = from.rate(counters.workflowsFailed, { by })
  return ratio(failed, `(${from.rate(counters.workflowsCompleted, { by })} + ${failed})`)
}

export const failureRatio = query({
  unit: unit.share,
  legend: "failed",
  description:
    "Share of the workflows that completed or failed which failed: with one of their jobs, or because they did not end within their ttl.",
  promql: (from) => failedShare(from),
})

export const active = query({
  unit: unit.count,
  legend: "active",
  description:
    "Workflows in the cluster that have not ended. Growing: their jobs wait, or fewer end than begin.",
  promql: (from) => from.value(gauges.workflowsActive),
})

const completed = is(workflowOutcome, "completed")

export const durations: readonly Query[] = [0.5, 0.95].map((share) =>
  query({
    unit: unit.seconds,
    legend: `p${share * 100}`,
    description: "From a workflow's dispatch to its end, of those that completed.",
    promql: (from) => from.quantile(share, histograms.workflowDuration, { where: [completed] }),
  }),
)
