import type { AppEventName } from "../../src/model/events.ts"
import { counters } from "./counters.ts"
import { histograms } from "./histograms.ts"
import type { Instrument } from "./instrument.ts"

/** What each app event feeds. */
export const eventInstruments: Readonly<Record<AppEventName, readonly Instrument[]>> = {
  "task:active": [counters.attemptsStarted, histograms.jobWait],
  "task:progress": [counters.progressReports],
  "task:completed": [
    counters.jobsCompleted,
    histograms.jobDuration,
    histograms.jobTotal,
    histograms.jobAttempts,
    histograms.payloadSize,
  ],
  "task:failed": [
    counters.attemptsFailed,
    counters.jobsFailed,
    histograms.jobDuration,
    histograms.jobTotal,
    histograms.jobAttempts,
  ],
  "task:retrying": [counters.jobsRetried],
  "task:stalled": [counters.jobsStalled, histograms.stallRecovery],
  "task:cancelled": [
    counters.jobsCancelled,
    histograms.jobDuration,
    histograms.jobTotal,
    histograms.jobAttempts,
  ],
  "task:expired": [counters.jobsExpired, counters.jobsFailed, histograms.jobTotal, histograms.jobAttempts],
  "workflow:completed": [counters.workflowsCompleted, histograms.workflowDuration],
  "workflow:failed": [counters.workflowsFailed, histograms.workflowDuration],
  "workflow:cancelled": [counters.workflowsCancelled, histograms.workflowDuration],
  "worker:ready": [counters.workerStarts],
  "worker:error": [counters.workerErrors],
  "worker:closing": [counters.workerShutdowns],
}
