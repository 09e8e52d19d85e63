import * as of from "./attributes.ts"
import { histogram } from "./instrument.ts"

const durations = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
] as const
const attempts = [1, 2, 3, 5, 10, 25] as const
const sizes = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 10_485_760] as const

/** Never initialised at zero: a series begins with its first record. */
export const histograms = {
  jobDuration: {
    ...histogram(
      "taskora.job.duration",
      "s",
      [of.task, of.attemptOutcome],
      durations,
      "Handler and middleware of one attempt, by the monotonic clock.",
    ),
    exemplars: true as const,
  },
  jobWait: {
    ...histogram(
      "taskora.job.wait.duration",
      "s",
      [of.task],
      durations,
      "From eligible to claimed, once per claim, by the server's clock.",
    ),
    exemplars: true as const,
  },
  jobTotal: histogram(
    "taskora.job.total.duration",
    "s",
    [of.task, of.jobOutcome],
    durations,
    "From a job's start of life (created, due or revived) to its end, by the server's clock.",
  ),
  jobAttempts: histogram(
    "taskora.job.attempts",
    "{attempt}",
    [of.task, of.jobOutcome],
    attempts,
    "Attempts that a finished job took; jobs that never started are left out.",
  ),
  workflowDuration: histogram(
    "taskora.workflow.duration",
    "s",
    [of.workflowOutcome],
    durations,
    "From a workflow's dispatch to its end, by the server's clock.",
  ),
  payloadSize: histogram(
    "taskora.job.payload.size",
    "By",
    [of.task, of.direction],
    sizes,
    "Size of what was stored: a job's data (in) and its result (out).",
  ),
  storeCall: histogram(
    "taskora.store.call.duration",
    "s",
    [of.script],
    durations,
    "Calls to the store, by script; blocking waits are left out.",
  ),
  eventsLag: histogram(
    "taskora.events.lag",
    "s",
    [],
    durations,
    "From a transition to its delivery to a listener, with the clocks' offset estimated.",
  ),
  scheduleLateness: histogram(
    "taskora.schedule.lateness",
    "s",
    [of.schedule],
    durations,
    "From the time at which a slot should have fired to its job's being stored, by the server's clock.",
  ),
  stallRecovery: histogram(
    "taskora.stall.recovery.duration",
    "s",
    [],
    durations,
    "From a lease's deadline to the recovery of its job.",
  ),
}
