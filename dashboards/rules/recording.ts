import { objective, queueState, task } from "../../exporters/catalogue/attributes.ts"
import {
  type Attribute,
  counters,
  gauges,
  type Instrument,
  prometheusName,
} from "../../exporters/catalogue.ts"
import { job, labelName, PromQL, prefix, ratio, ruleScope } from "../promql.ts"
import { ended, failed, judged } from "../queries/jobs.ts"
import { ageOf, breachRatio, timeToDrain, waiting } from "../queries/queue.ts"
import { busy } from "../queries/workers.ts"

/** A series that Prometheus keeps for alerts and for people: `level:metric:operations`. */
export interface Recording {
  readonly record: string
  readonly expr: string
}

export const perTask = [job, prefix, task] as const
const perObjective = [...perTask, objective] as const

function recording(by: readonly Attribute[], of: Instrument, operations: string, expr: string): Recording {
  return { record: `${by.map(labelName).join("_")}:${prometheusName(of)}:${operations}`, expr }
}

const all = new PromQL(ruleScope("5m"))
const { clusterTransitions: transitions } = counters

function transitionRate(where: typeof ended): string {
  return all.rate(transitions, { by: perTask, where: [where] })
}

export const depth = recording(
  [...perTask, queueState],
  gauges.queueJobs,
  "max",
  all.value(gauges.queueJobs, { by: [...perTask, queueState] }),
)

/** Waiting jobs, from what is recorded. */
export const waitingJobs = `${depth.record}{${waiting.text}}`

export const oldestAge = recording(
  perTask,
  gauges.queueOldest,
  "age",
  ageOf(all.value(gauges.queueOldest, { by: perTask })),
)

export const endedRate = recording(perTask, transitions, "ended_rate5m", transitionRate(ended))

export const failureRatio = recording(
  perTask,
  transitions,
  "failed_ratio_rate5m",
  ratio(transitionRate(failed), transitionRate(judged)),
)

export const drain = recording(
  perTask,
  gauges.queueJobs,
  "drain_seconds",
  timeToDrain(
    `sum without (${labelName(queueState)}) (${waitingJobs})`,
    `sum without (${labelName(queueState)}) (deriv(${waitingJobs}[5m]))`,
  ),
)

export const busyRatio = recording(
  perTask,
  gauges.workerSlots,
  "busy_ratio",
  ratio(
    all.value(gauges.workerSlots, { by: perTask, where: [busy] }),
    all.value(gauges.workerSlots, { by: perTask }),
  ),
)

/** The windows of burn rates: each alert looks at a long one, and at a short one to end soon after the trouble. */
export const burnWindows = ["5m", "30m", "1h", "6h", "3d"] as const
export type BurnWindow = (typeof burnWindows)[number]

export const breaches = Object.fromEntries(
  burnWindows.map((window) => [
    window,
    recording(
      perObjective,
      counters.objectiveBreaches,
      `ratio_rate${window}`,
      breachRatio(new PromQL(ruleScope(window)), { by: perObjective }),
    ),
  ]),
) as Record<BurnWindow, Recording>

export const target = recording(
  perObjective,
  gauges.objectiveTarget,
  "max",
  all.largest(gauges.objectiveTarget, { by: perObjective }),
)

/** In the order in which they are evaluated: what others read comes first. */
export const recordings: readonly Recording[] = [
  depth,
  oldestAge,
  endedRate,
  failureRatio,
  drain,
  busyRatio,
  target,
  ...Object.values(breaches),
]
