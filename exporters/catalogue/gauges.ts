import * as of from "./attributes.ts"
import { clusterWide, gauge, open } from "./instrument.ts"

export const gauges = {
  objectiveTarget: gauge(
    "taskora.objective.target",
    "1",
    [of.task, of.objective],
    "The share of events that should meet the objective.",
  ),
  objectiveThreshold: gauge(
    "taskora.objective.threshold",
    "s",
    [of.task, of.objective],
    "The time within which an event meets its objective.",
  ),
  queueJobs: clusterWide(
    gauge(
      "taskora.queue.jobs",
      "{job}",
      [of.task, of.queueState],
      "Jobs in the queue; those that are due count as waiting, parked ones wait for a slot of their concurrency key.",
    ),
  ),
  taskPaused: clusterWide(gauge("taskora.task.paused", "", [of.task], "1 while the task is paused, else 0.")),
  queueOldest: clusterWide(
    gauge(
      "taskora.queue.oldest.timestamp",
      "s",
      [of.task],
      "When the oldest job that could run became eligible, as Unix time; 0 when there is none.",
    ),
  ),
  workerSlots: gauge(
    "taskora.worker.slots",
    "{slot}",
    [of.task, of.slotState],
    "Slots of this process's workers; abandoned ones are held by handlers that outlive their attempt.",
  ),
  workerStart: gauge(
    "taskora.worker.start.timestamp",
    "s",
    [],
    "When this process's workers started, as Unix time.",
  ),
  workers: clusterWide(gauge("taskora.workers", "{worker}", [], "Live worker processes in the cluster.")),
  taskWorkers: clusterWide(
    gauge("taskora.task.workers", "{worker}", [of.task], "Live worker processes that run the task."),
  ),
  workflowsActive: clusterWide(
    gauge("taskora.workflow.active", "{workflow}", [], "Workflows in the cluster that have not ended."),
  ),
  scheduleNext: gauge(
    "taskora.schedule.next.timestamp",
    "s",
    [of.schedule],
    "When a schedule that this process declares fires next, as Unix time; 0 while it is paused or never will. Take the maximum, not a sum.",
  ),
  storeUp: gauge("taskora.store.up", "", [], "1 when the store answered in time, else 0."),
  taskInfo: gauge(
    "taskora.task.info",
    "",
    [of.task, open("owner"), open("runbook")],
    "Who owns a task and where its runbook is; always 1.",
  ),
  buildInfo: gauge(
    "taskora.build.info",
    "",
    [open("version"), open("adapter")],
    "The version of taskora and its kind of store; always 1.",
  ),
}

const heapSpace = open("v8js.heap.space.name")

/** The runtime, by OpenTelemetry's conventions for Node.js. */
export const runtimeGauges = {
  loopDelayP50: gauge(
    "nodejs.eventloop.delay.p50",
    "s",
    [],
    "Median delay of the event loop over the last window.",
  ),
  loopDelayP99: gauge(
    "nodejs.eventloop.delay.p99",
    "s",
    [],
    "99th percentile of the event loop's delay over the last window.",
  ),
  loopUtilization: gauge(
    "nodejs.eventloop.utilization",
    "1",
    [],
    "Share of the last window in which the event loop was busy.",
  ),
  heapUsed: gauge("v8js.memory.heap.used", "By", [heapSpace], "Heap memory in use."),
  heapLimit: gauge("v8js.memory.heap.limit", "By", [heapSpace], "Heap memory allocated."),
}
