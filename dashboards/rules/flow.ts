/** Alerts about schedules, workflows, and tasks that somebody stopped. */

import { schedule, task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges } from "../../exporters/catalogue.ts"
import { limits } from "../limits.ts"
import { instance, job, labelName, PromQL, prefix, ruleScope } from "../promql.ts"
import { ageOf } from "../queries/queue.ts"
import { failedShare } from "../queries/workflows.ts"
import { type Alert, askFor, panelOf } from "./alert.ts"
import { perTask } from "./recording.ts"

const label = (name: string) => `{{ $labels.${name} }}`
const rules = new PromQL(ruleScope("15m"))

const scheduleLate: Alert = {
  name: "TaskoraScheduleLate",
  expr: `${ageOf(rules.largest(gauges.scheduleNext, { by: [job, prefix, schedule] }))} > ${limits.latenessSeconds.bad}`,
  for: "2m",
  severity: "critical",
  summary: `The schedule ${label(labelName(schedule))} is late by {{ $value | humanizeDuration }}`,
  description: `A slot of ${label(labelName(schedule))} is due since {{ $value | humanizeDuration }}, and none of the processes that declare it has fired it.`,
  runbook: {
    meaning:
      "A schedule should have fired minutes ago. Processes that declare it live, or it would not be known, but none of them fires it. What becomes of the slots that pass meanwhile is for its `onMissed` to say; with `skip` they are lost.",
    look: [
      "Whether the store answers, and what the processes' `worker:error` says: refused permissions and a full Redis stop schedules too.",
      "Whether the processes that declare it do nothing else: a blocked event loop fires nothing.",
      "`taskora.schedules.get(name)`: what is next, and what was fired, missed and skipped.",
    ],
    panels: [
      panelOf("flow", "Time to the next run"),
      panelOf("flow", "Slots left out"),
      panelOf("workers", "Store up by process"),
      panelOf("workers", "Event loop delay"),
    ],
    command: askFor(ageOf(rules.largest(gauges.scheduleNext, { by: [instance, schedule] }))),
    thresholds: `${limits.latenessSeconds.bad} seconds late, for two minutes. Paused schedules do not fire it. Neither does one that no living process declares, since nobody tells of it: \`taskora.schedules.list()\` calls it orphaned.`,
  },
}

/** Fewer than this in a quarter of an hour say nothing about a share. */
const enoughFailures = 3
const perCluster = [job, prefix]
const failures = rules.increase(counters.workflowsFailed, { by: perCluster })

const workflowsFail: Alert = {
  name: "TaskoraWorkflowsFail",
  expr: `(${failedShare(rules, perCluster)}) > ${limits.failureRatio.bad} and ${failures} >= ${enoughFailures}`,
  for: "5m",
  severity: "warning",
  summary: `{{ $value | humanizePercentage }} of the workflows of ${label(labelName(job))} fail`,
  description: `Of the workflows of ${label(labelName(job))} that completed or failed in the last 15 minutes, {{ $value | humanizePercentage }} failed. What had not begun of them never runs.`,
  runbook: {
    meaning:
      "More than one in ten workflows fails: one of its jobs failed for good, or it did not end within its `ttl`. The rest of such a workflow is cancelled, and the jobs that had completed stay as they are.",
    look: [
      "Which task fails: its jobs count under their task as well, and `WorkflowFailedError` names the job (`node`) and its error (`cause`).",
      "Whether they fail for want of time: workflows pile up and last longer, while no task fails. Then look at waiting jobs and slots.",
      "One failed workflow: its trace has all of its jobs, and `handle.getGraph()` tells how far it came, for an hour after its end.",
    ],
    panels: [
      panelOf("flow", "What happens to workflows"),
      panelOf("flow", "From dispatch to end"),
      panelOf("overview", "Top failing tasks"),
      panelOf("task", "Failed attempts by error"),
    ],
    command: askFor(`${rules.increase(counters.workflowsFailed, { by: [job, instance] })} > 0`),
    thresholds: `More than ${limits.failureRatio.bad * 100} % over 15 minutes and at least ${enoughFailures} of them, for five minutes.`,
  },
}

const taskPaused: Alert = {
  name: "TaskoraTaskPaused",
  expr: `${rules.value(gauges.taskPaused, { by: perTask })} == 1`,
  for: "1h",
  severity: "info",
  summary: `${label(labelName(task))} is paused for more than an hour`,
  description: `${label(labelName(task))} is paused for more than an hour now. None of its jobs begins, in any process, until somebody resumes it.`,
  runbook: {
    meaning:
      "Somebody paused a task and has not resumed it. That may be meant; but a pause outlives deploys and restarts, so one that was forgotten explains why jobs wait while workers are idle, and jobs with a `ttl` expire meanwhile.",
    look: [
      "Who paused it, and whether the reason still holds.",
      "How much waits, and how old the oldest job is: all of it begins at the resume.",
      "Whether jobs of it expire.",
    ],
    panels: [
      panelOf("flow", "Paused by task"),
      panelOf("flow", "Expired by task"),
      panelOf("overview", "Waiting by task"),
    ],
    command: askFor(`${rules.value(gauges.taskPaused, { by: [task] })} == 1`),
    thresholds: "One hour. Call `resume()` on the task, in any process, to end it.",
  },
}

export const flowAlerts: readonly Alert[] = [scheduleLate, workflowsFail, taskPaused]
