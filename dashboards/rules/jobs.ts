/** Alerts about what becomes of jobs. */

import { errorType, objective, task, willRetry } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges } from "../../exporters/catalogue.ts"
import { limits } from "../limits.ts"
import { instance, is, labelName, PromQL, ruleScope } from "../promql.ts"
import { stalled } from "../queries/jobs.ts"
import { type Alert, askFor, panelOf } from "./alert.ts"
import { type BurnWindow, breaches, endedRate, failureRatio, perTask, target } from "./recording.ts"

const taskName = `{{ $labels.${labelName(task)} }}`
const objectiveName = `{{ $labels.${labelName(objective)} }}`

/** Fewer ended jobs than this in ten minutes say nothing about a share. */
const enoughJobs = 10
/** Fewer breaches than this do not wake anybody, whatever their share. */
const enoughBreaches = 5

const quarter = new PromQL(ruleScope("15m"))

const failureRatioHigh: Alert = {
  name: "TaskoraFailureRatioHigh",
  expr: `${failureRatio.record} > ${limits.failureRatio.bad} and avg_over_time(${endedRate.record}[10m]) * 600 >= ${enoughJobs}`,
  for: "5m",
  severity: "critical",
  summary: `{{ $value | humanizePercentage }} of the jobs of ${taskName} fail`,
  description: `Of the jobs of ${taskName} that ended in the last five minutes, {{ $value | humanizePercentage }} failed for good. Their retries are used up.`,
  runbook: {
    meaning:
      "Jobs of one task fail for good, after all their attempts, and more than one in ten. The last 300 of a task are kept for a week, unless `retention` says otherwise, so they can be looked at; but whoever waits for them does not get what they asked for.",
    look: [
      "Which error it is: one class of error is one cause, often a dependency; many classes are often a bad deploy or bad data.",
      "When it began: compare with your last deploy (*Versions* on Workers & Redis) and with the dependency's own dashboards.",
      "One failed job: its trace, or the error log line of the worker, which names the job's id and trace.",
    ],
    panels: [
      panelOf("task", "Failed attempts by error"),
      panelOf("task", "Failed jobs by cause"),
      panelOf("overview", "Top failing tasks"),
    ],
    command: askFor(
      `topk(10, ${quarter.increase(counters.attemptsFailed, { by: [task, errorType], where: [is(willRetry, "false")] })})`,
    ),
    thresholds: `More than ${limits.failureRatio.bad * 100} % over five minutes, for five minutes, with at least ${enoughJobs} ended jobs in ten minutes. For a task with an objective, the burn rates below are the finer measure.`,
  },
}

interface Burn {
  readonly name: string
  readonly factor: number
  readonly long: BurnWindow
  readonly short: BurnWindow
  readonly for: string
  readonly severity: Alert["severity"]
  readonly spends: string
}

/** Chapter "Alerting on SLOs" of the SRE workbook: quick trouble soon, slow trouble before the budget is gone. */
const burns: readonly Burn[] = [
  {
    name: "TaskoraErrorBudgetBurnsFast",
    factor: 14.4,
    long: "1h",
    short: "5m",
    for: "2m",
    severity: "critical",
    spends: "2 % of a 30 days' budget in an hour",
  },
  {
    name: "TaskoraErrorBudgetBurns",
    factor: 6,
    long: "6h",
    short: "30m",
    for: "15m",
    severity: "critical",
    spends: "5 % of a 30 days' budget in six hours",
  },
  {
    name: "TaskoraErrorBudgetBurnsSlowly",
    factor: 1,
    long: "3d",
    short: "6h",
    for: "1h",
    severity: "warning",
    spends: "10 % of a 30 days' budget in three days",
  },
]

function burnRate({ name, factor, long, short, for: pending, severity, spends }: Burn): Alert {
  const perObjective = [...perTask, objective]
  const breached = new PromQL(ruleScope(long)).increase(counters.objectiveBreaches, { by: perObjective })
  const allowed = `${factor} * (1 - ${target.record})`
  const times = factor === 1 ? "more often than" : `more than ${factor} times as often as`
  const reach = 1 - 1 / factor
  const limit =
    reach === 0
      ? ""
      : ` A target below ${Math.ceil(reach * 100)} % cannot be missed so often, and is left to the slower alerts.`
  return {
    name,
    expr: `${breaches[long].record} > ${allowed} and ${breaches[short].record} > ${allowed} and ${breached} >= ${enoughBreaches}`,
    for: pending,
    severity,
    summary: `${taskName} misses its objective "${objectiveName}" ${times} it may`,
    description: `In the last ${long}, {{ $value | humanizePercentage }} of what the objective "${objectiveName}" of ${taskName} judges missed it: ${times} the target allows (${spends}).`,
    runbook: {
      meaning: `An objective of a task (\`objectives\`: success, wait or duration) is missed ${times} its target allows, in the last ${long} and still in the last ${short}. At this pace it spends ${spends}.`,
      look: [
        'Which objective: "success" is about failing jobs, "wait" about too few slots, "duration" about slow handlers.',
        "When it began, and whether it is one task or all: all at once is the store, the machines or a deploy.",
        "How much of the budget is left; that decides whether to act now or tomorrow.",
      ],
      panels: [
        panelOf("task", "Burn rate"),
        panelOf("task", "Objectives met"),
        panelOf("task", "Error budget left"),
      ],
      command: askFor(breaches[long].record),
      thresholds: `${factor} times the budget's pace over ${long} and ${short}, for ${pending}, with at least ${enoughBreaches} breaches in ${long}.${limit}`,
    },
  }
}

const recovered = quarter.increase(counters.jobsStalled, { by: perTask })
/** As the store counted them: workers that come for dead ones recover jobs before their own first scrape. */
const seenToStall = quarter.increase(counters.clusterTransitions, { by: perTask, where: [stalled] })

const stalls: Alert = {
  name: "TaskoraJobsStall",
  expr: `${recovered} >= ${limits.stalls.bad} or ${seenToStall} >= ${limits.stalls.bad}`,
  for: "0m",
  severity: "warning",
  summary: `Workers of ${taskName} vanish`,
  description: `About {{ $value | printf "%.0f" }} jobs of ${taskName} lost their worker in the last 15 minutes. They run again, or failed if that happened too often.`,
  runbook: {
    meaning:
      "Workers vanished in the middle of jobs and did not renew their leases: killed (out of memory, a lost machine, a grace period that is too short) or with an event loop that was blocked for longer than the lease. The jobs are run again, from the start, by others; those that stalled too often fail with `StalledError`.",
    look: [
      "Whether processes were killed: the platform's events (OOMKilled, evictions, exit code 137), and starts while nobody deploys. The command lists the youngest processes first.",
      "Whether the event loop was blocked: its delay, and handlers that compute for long without a pause.",
      "Whether one job does it each time: the same id in the `stalled` events, `timeline` of `inspect().find(id)`.",
    ],
    panels: [
      panelOf("workers", "Stalled jobs by what followed"),
      panelOf("workers", "Started and gone"),
      panelOf("workers", "Event loop delay"),
    ],
    command: askFor(`sort(time() - ${quarter.largest(gauges.workerStart, { by: [instance] })})`),
    thresholds: `${limits.stalls.bad} jobs of a task in 15 minutes. One killed process with one job does not fire.`,
  },
}

const lost = quarter.increase(counters.leasesLost, { by: perTask })

const leasesLost: Alert = {
  name: "TaskoraLeasesLost",
  expr: `${lost} >= ${limits.leasesLost.bad}`,
  for: "0m",
  severity: "warning",
  summary: `Live workers of ${taskName} lose their jobs`,
  description: `About {{ $value | printf "%.0f" }} attempts of ${taskName} lost their lease in the last 15 minutes, though their process lives: the jobs were run twice at the same time for a while.`,
  runbook: {
    meaning:
      "Processes that are alive could not renew their leases in time, and found that their jobs had been given to others. The late outcome was refused, so no result is wrong; but for a while two handlers ran the same job.",
    look: [
      "The event loop's delay: a handler that computes for longer than half a lease blocks the renewals too.",
      "The way to Redis: slow or failing store calls, connection errors, failovers.",
      "Pauses of whole machines: live migration, suspended containers, CPU limits that throttle.",
    ],
    panels: [
      panelOf("workers", "Leases lost by task"),
      panelOf("workers", "Event loop delay"),
      panelOf("workers", "Store calls, p95 by script"),
    ],
    command: askFor(`${quarter.increase(counters.leasesLost, { by: [instance, task] })} > 0`),
    thresholds: `${limits.leasesLost.bad} leases of a task in 15 minutes. A lease is \`stall.interval\` (30 s).`,
  },
}

export const jobAlerts: readonly Alert[] = [failureRatioHigh, ...burns.map(burnRate), stalls, leasesLost]
