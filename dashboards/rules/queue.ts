/** Alerts about the queue, those who should work it off, and the store. */

import { queueState, slotState, task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges } from "../../exporters/catalogue.ts"
import { limits } from "../limits.ts"
import { instance, job, labelName, PromQL, prefix, ruleScope } from "../promql.ts"
import { active } from "../queries/queue.ts"
import { busy } from "../queries/workers.ts"
import { type Alert, askFor, panelOf } from "./alert.ts"
import { depth, endedRate, oldestAge, perTask, waitingJobs } from "./recording.ts"

const taskName = `{{ $labels.${labelName(task)} }}`
const sameTask = `ignoring (${labelName(queueState)})`

const oldestJob: Alert = {
  name: "TaskoraOldestJobTooOld",
  expr: `${oldestAge.record} > ${limits.oldestSeconds.bad}`,
  for: "5m",
  severity: "critical",
  summary: `A job of ${taskName} has waited for {{ $value | humanizeDuration }}`,
  description: `The oldest job of ${taskName} could run since {{ $value | humanizeDuration }} and no worker has taken it.`,
  runbook: {
    meaning:
      "A job that could run has waited for more than ten minutes. Either more work arrives than is done, or nobody works on this task, or jobs of higher priority always come first.",
    look: [
      "Whether workers run the task, and whether their slots are busy.",
      "Whether run time has risen: slower jobs fill the same slots for longer.",
      "Whether more is dispatched than usual, and by whom.",
    ],
    panels: [
      panelOf("overview", "Oldest job by task"),
      panelOf("workers", "Busy slots by task"),
      panelOf("task", "What happens to jobs"),
    ],
    command: askFor(`sort_desc(${oldestAge.record})`),
    thresholds: `${limits.oldestSeconds.bad / 60} minutes, for five. Set it to what your users bear; for a bound per task, give the task an objective on \`wait\`.`,
  },
}

const backlogGrows: Alert = {
  name: "TaskoraBacklogGrows",
  expr: `deriv(${waitingJobs}[15m]) > 0 and min_over_time(${waitingJobs}[15m]) >= ${limits.depth.warn}`,
  for: "15m",
  severity: "warning",
  summary: `The backlog of ${taskName} grows`,
  description: `More jobs of ${taskName} arrive than are done, for half an hour now, by {{ $value | printf "%.1f" }} a second. At this pace it will never be empty.`,
  runbook: {
    meaning:
      "The queue has been long and getting longer for half an hour. Bursts that are being worked off do not fire it. Nothing is lost, but every job waits longer than the one before.",
    look: [
      "Time to drain and the rates: is it a higher rate of dispatches, or a lower rate of completions?",
      "Busy slots: near 100 % means that more workers or concurrency help; far from it, something else holds them back.",
      "The handler's dependencies: a database at its limit gets slower with more workers.",
    ],
    panels: [
      panelOf("overview", "Waiting by task"),
      panelOf("task", "What happens to jobs"),
      panelOf("task", "Busy slots"),
    ],
    command: askFor(`sort_desc(deriv(${waitingJobs}[15m]))`),
    thresholds: `At least ${limits.depth.warn} waiting jobs all the time, rising over 15 minutes, for 15 minutes.`,
  },
}

const rules = new PromQL(ruleScope("5m"))

const noWorkers: Alert = {
  name: "TaskoraNoWorkers",
  expr: `${waitingJobs} > 0 and ${sameTask} ${rules.value(gauges.taskWorkers, { by: perTask })} == 0`,
  for: "5m",
  severity: "critical",
  summary: `Jobs of ${taskName} wait and no worker runs it`,
  description: `{{ $value | printf "%.0f" }} jobs of ${taskName} wait, and for five minutes no live worker process has run this task.`,
  runbook: {
    meaning:
      "Jobs of a task can run, and there is no process that would take them. Nothing happens until one is started.",
    look: [
      "Whether worker processes run at all, or exit as they start: the platform's events and their logs.",
      "Whether the task has a handler there: a renamed task, or a deploy of the dispatching side alone, leaves jobs of a name that nobody handles.",
      "Whether they reach the store: `/readyz` says why a process is not ready.",
    ],
    panels: [
      panelOf("task", "Workers"),
      panelOf("workers", "Live workers"),
      panelOf("workers", "Started and gone"),
    ],
    command: "curl -si http://127.0.0.1:9464/readyz",
    thresholds:
      "Any waiting job, for five minutes; deploys are shorter. It needs a process that reports while no worker lives: a dispatching one with an exporter, or `taskora exporter`.",
  },
}

const progressed = rules.increase(counters.progressReports, { by: [prefix, task] })

const noProgress: Alert = {
  name: "TaskoraNoProgress",
  expr: `${depth.record}{${active.text}} > 0 unless ${sameTask} ${endedRate.record} > 0 unless on (${[prefix, task].map(labelName).join(", ")}) ${progressed} > 0`,
  for: "15m",
  severity: "info",
  summary: `Jobs of ${taskName} run and nothing comes of it`,
  description: `{{ $value | printf "%.0f" }} jobs of ${taskName} are active; for more than 15 minutes none has ended, and none has reported progress.`,
  runbook: {
    meaning:
      "Jobs are running, and for more than 15 minutes there was neither an outcome nor a report of progress. They may be long, or hang in a call that has no timeout of its own.",
    look: [
      "The task's `timeout`: with one of more than seven minutes this may be usual. Let the handler report progress, or raise this alert's `for` to twice the timeout.",
      "What the handlers wait for: a trace of an active run has no end yet, but its last finished child shows how far it came.",
      "Slots that are abandoned: handlers that ignore their signal keep their slot after the timeout.",
    ],
    panels: [
      panelOf("task", "Active jobs"),
      panelOf("task", "Progress reports"),
      panelOf("workers", "Slots by state"),
    ],
    command: askFor(
      `${rules.value(gauges.workerSlots, { by: [instance, task, slotState], where: [busy] })} > 0`,
    ),
    thresholds:
      "15 minutes without an outcome or progress. Use twice the longest timeout of your tasks if that is more than 15 minutes.",
  },
}

const quarter = new PromQL(ruleScope("15m"))
const lost = quarter.increase(counters.eventsLost, { by: perTask })

const eventsLost: Alert = {
  name: "TaskoraEventsLost",
  expr: `${lost} >= ${limits.eventsLost.bad}`,
  for: "0m",
  severity: "warning",
  summary: `Events of ${taskName} were lost`,
  description: `About {{ $value | printf "%.0f" }} events of ${taskName} were trimmed before a process that listens had read them. Jobs are not affected; what listeners do is incomplete.`,
  runbook: {
    meaning:
      "A process that listens to events fell so far behind that the stream was trimmed before it had read on. Jobs and their outcomes are not affected. Listeners did not hear some events; the process was told how many (`EventsLostError` on `worker:error`).",
    look: [
      "Which process: event lag and event loop delay by instance. A blocked loop reads nothing.",
      "How long it was away from Redis: streams keep about `events.maxLength` entries for each task.",
      "Whether listeners are slow: they hold up the reader that calls them only by blocking the event loop.",
    ],
    panels: [
      panelOf("workers", "Events delivered and lost"),
      panelOf("workers", "Event lag"),
      panelOf("workers", "Event loop delay"),
    ],
    command: askFor(`${quarter.increase(counters.eventsLost, { by: [instance, task] })} > 0`),
    thresholds: "Any event in 15 minutes.",
  },
}

const storeDown: Alert = {
  name: "TaskoraStoreDown",
  expr: `${rules.smallest(gauges.storeUp, { by: [job, prefix, instance] })} == 0`,
  for: "2m",
  severity: "critical",
  summary: `{{ $labels.${labelName(instance)} }} gets no answer from its store`,
  description: `For two minutes the store has not answered {{ $labels.${labelName(instance)} }} ({{ $labels.${labelName(job)} }}) in time. It claims no jobs, and its dispatches are rejected after five seconds.`,
  runbook: {
    meaning:
      "A process asks Redis and gets no answer in time. It runs what it has claimed, takes nothing new, and rejects dispatches after five seconds. As long as no process reaches Redis, queue gauges are missing, and the alerts that read them are silent.",
    look: [
      "One process or all: one is its network or its event loop; all is Redis.",
      "Redis itself: is it up, is its memory full, is a script or a slow command blocking it?",
      "What changed: credentials, ACLs, TLS, network policies, a failover.",
    ],
    panels: [
      panelOf("workers", "Store up by process"),
      panelOf("workers", "Store calls, p95 by script"),
      panelOf("workers", "Worker errors"),
    ],
    command: 'redis-cli -u "$REDIS_URL" ping && redis-cli -u "$REDIS_URL" info memory',
    thresholds: "Two minutes.",
  },
}

export const queueAlerts: readonly Alert[] = [
  oldestJob,
  backlogGrows,
  noWorkers,
  noProgress,
  eventsLost,
  storeDown,
]
