import * as of from "./attributes.ts"
import { clusterWide, counter } from "./instrument.ts"

/** Each is counted in the one process that made the transition, so their sum over all processes is the cluster's truth. */
export const counters = {
  jobsDispatched: counter(
    "taskora.jobs.dispatched",
    "{job}",
    [of.task],
    "Jobs stored by this process; a duplicate or throttled dispatch stores none.",
  ),
  jobsRejected: counter(
    "taskora.jobs.rejected",
    "{job}",
    [of.task, of.reason],
    "Dispatches that were refused or could not be stored, and those that others replaced (debounced, which count as dispatched and cancelled too).",
  ),
  attemptsStarted: counter("taskora.attempts.started", "{attempt}", [of.task], "Attempts begun."),
  attemptsFailed: counter(
    "taskora.attempts.failed",
    "{attempt}",
    [of.task, of.errorType, of.willRetry],
    "Attempts that failed, stalls beyond the limit included, by the class of the error.",
  ),
  attemptsReleased: counter(
    "taskora.attempts.released",
    "{attempt}",
    [of.task],
    "Attempts handed back unfinished as their worker shut down.",
  ),
  jobsCompleted: counter("taskora.jobs.completed", "{job}", [of.task], "Jobs whose result was stored."),
  jobsFailed: counter("taskora.jobs.failed", "{job}", [of.task, of.cause], "Jobs that failed for good."),
  jobsRetried: counter("taskora.jobs.retried", "{job}", [of.task], "Retries that were scheduled."),
  jobsRevived: counter(
    "taskora.jobs.revived",
    "{job}",
    [of.task],
    "Failed jobs that were retried by hand: each begins another life, and ends once more.",
  ),
  jobsStalled: counter(
    "taskora.jobs.stalled",
    "{job}",
    [of.task, of.action],
    "Jobs whose worker vanished, counted by the process that recovered them.",
  ),
  jobsExpired: counter(
    "taskora.jobs.expired",
    "{job}",
    [of.task],
    "Jobs that were not started within their ttl, counted by the process that noticed it.",
  ),
  jobsCancelled: counter(
    "taskora.jobs.cancelled",
    "{job}",
    [of.task, of.cancelledState],
    "Jobs that were cancelled, by the state they were in.",
  ),
  progressReports: counter(
    "taskora.job.progress.reports",
    "{report}",
    [of.task],
    "Progress reports that were stored.",
  ),
  leasesLost: counter(
    "taskora.leases.lost",
    "{lease}",
    [of.task],
    "Attempts of this process that lost their job to recovery: a local view of a stall, in no sum.",
  ),
  workflowsStarted: counter(
    "taskora.workflows.started",
    "{workflow}",
    [],
    "Workflows that this process dispatched.",
  ),
  workflowsCompleted: counter(
    "taskora.workflows.completed",
    "{workflow}",
    [],
    "Workflows whose last job completed, counted by the process that ended them; so below.",
  ),
  workflowsFailed: counter(
    "taskora.workflows.failed",
    "{workflow}",
    [],
    "Workflows that failed with one of their jobs, or did not end within their ttl.",
  ),
  workflowsCancelled: counter(
    "taskora.workflows.cancelled",
    "{workflow}",
    [],
    "Workflows that were cancelled, or one of whose jobs was.",
  ),
  workerErrors: counter(
    "taskora.worker.errors",
    "{error}",
    [of.errorKind],
    "Errors reported on worker:error, by kind.",
  ),
  workerStarts: counter("taskora.worker.starts", "{start}", [], "Times that workers became ready."),
  workerShutdowns: counter(
    "taskora.worker.shutdowns",
    "{shutdown}",
    [],
    "Times that workers began to close in order.",
  ),
  eventsDelivered: counter(
    "taskora.events.delivered",
    "{event}",
    [of.task],
    "Events handed to listeners of this process.",
  ),
  eventsLost: counter(
    "taskora.events.lost",
    "{event}",
    [of.task],
    "Events that were trimmed before this process read them.",
  ),
  observerErrors: counter(
    "taskora.observer.errors",
    "{error}",
    [of.observer],
    "Errors thrown by observers; no job was disturbed.",
  ),
  seriesOverflows: counter(
    "taskora.series.overflows",
    "{measurement}",
    [of.instrument],
    "Measurements recorded under _OTHER because a label's limit was reached or its value was unfit.",
  ),
  objectiveEvents: counter(
    "taskora.objective.events",
    "{event}",
    [of.task, of.objective],
    "Events that an objective judges: terminal jobs, claims, or completed attempts.",
  ),
  objectiveBreaches: counter(
    "taskora.objective.breaches",
    "{event}",
    [of.task, of.objective],
    "Events that missed their objective.",
  ),
  scheduleMissed: counter(
    "taskora.schedule.missed",
    "{slot}",
    [of.schedule],
    "Slots of a schedule that were left out because no process fired them in time.",
  ),
  scheduleSkipped: counter(
    "taskora.schedule.skipped",
    "{slot}",
    [of.schedule, of.skipReason],
    "Slots of a schedule that were left out although they were due.",
  ),
  clusterTransitions: clusterWide(
    counter(
      "taskora.cluster.transitions",
      "{transition}",
      [of.task, of.transition],
      "Transitions of all processes since the first, as the store counted them.",
    ),
  ),
}
