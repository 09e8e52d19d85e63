/** How long it takes, and how large it is. */

import { attemptOutcome, direction, jobOutcome, task } from "../../exporters/catalogue/attributes.ts"
import { type HistogramInstrument, histograms } from "../../exporters/catalogue.ts"
import { is, labelName, type Matcher, top } from "../promql.ts"
import { type Query, query, type Unit, unit } from "../query.ts"

export const ran = is(attemptOutcome, "completed")
const completed = is(jobOutcome, "completed")

/** p50, p95 and p99 of one histogram. */
export function percentiles(
  of: HistogramInstrument,
  description: string,
  where: readonly Matcher[] = [],
): Query[] {
  return [0.5, 0.95, 0.99].map((share) =>
    query({
      unit: unit.seconds,
      legend: `p${share * 100}`,
      description,
      promql: (from) => from.quantile(share, of, { where }),
    }),
  )
}

export const waits = percentiles(
  histograms.jobWait,
  "From when a job could run to when a worker took it. Rising: too few slots, or workers that are busy with something else.",
)

export const durations = percentiles(
  histograms.jobDuration,
  "Handler and middleware of one attempt that completed. Rising: what the handler calls has become slow.",
  [ran],
)

export const totals = percentiles(
  histograms.jobTotal,
  "From dispatched or due to completed, with all waits and retries in between: what a user experiences.",
  [completed],
)

function heatmap(of: HistogramInstrument, description: string, where: readonly Matcher[] = []): Query {
  return query({
    unit: unit.seconds,
    legend: "{{le}}",
    description,
    promql: (from) => from.buckets(of, { where }),
  })
}

export const durationMap = heatmap(
  histograms.jobDuration,
  "How long completed attempts ran. Each diamond is an exemplar: it opens the trace of one run.",
  [ran],
)

export const waitMap = heatmap(
  histograms.jobWait,
  "How long jobs waited for a slot. Each diamond is an exemplar: it opens the trace of the run that followed.",
)

function byTask(of: HistogramInstrument, description: string, where: readonly Matcher[] = []): Query {
  return query({
    unit: unit.seconds,
    legend: `{{${labelName(task)}}}`,
    description,
    promql: (from) => top(10, from.quantile(0.95, of, { by: [task], where })),
  })
}

export const slowest = byTask(histograms.jobDuration, "95th percentile of the attempts that completed.", [
  ran,
])

/** By outcome: attempts that failed at a timeout took long too. */
export const runs = query({
  unit: unit.perSecond,
  legend: `{{${labelName(attemptOutcome)}}}`,
  description:
    "How attempts ended. retried: failed, and gets another. lost: another worker had taken over. released: handed back at a shutdown.",
  promql: (from) => from.records(histograms.jobDuration, { by: [attemptOutcome] }),
})

function size(of: HistogramInstrument, bytes: Unit): Query[] {
  return [
    { where: is(direction, "in"), legend: "data, p95" },
    { where: is(direction, "out"), legend: "result, p95" },
  ].map(({ where, legend }) =>
    query({
      unit: bytes,
      legend,
      description:
        "Size of what was stored: the data of jobs and their results. Large ones cost memory in Redis and time on the wire; store them elsewhere and dispatch a reference.",
      promql: (from) => from.quantile(0.95, of, { where: [where] }),
    }),
  )
}

export const sizes = size(histograms.payloadSize, unit.bytes)
