import { counters, histograms } from "../catalogue.ts"
import type { Counter } from "./counter.ts"
import { each, type Families, Limited } from "./families.ts"
import type { Histogram } from "./histogram.ts"

type WorkflowOutcome = (typeof histograms.workflowDuration.attributes)[0]["values"][number]

/** The engine has some thirty scripts; more than this would be names made up by somebody else. */
const scriptLimit = 100
const observerLimit = 50
const scheduleLimit = 300

/** The children that belong to no task, resolved once. */
export class ProcessMeasures {
  readonly workerStarts: Counter
  /** ms since the epoch, once workers were ready. */
  workersReadyAt: number | undefined
  readonly workerShutdowns: Counter
  readonly workerErrors
  readonly observerErrors: Limited<Counter>
  readonly workflowsStarted: Counter
  readonly workflowsEnded: Readonly<
    Record<WorkflowOutcome, { readonly count: Counter; readonly took: Histogram }>
  >
  readonly storeCalls: Limited<Histogram>
  readonly eventsLag: Histogram
  readonly stallRecovery: Histogram
  readonly schedules: Limited<ScheduleMeasures>

  constructor(families: Families) {
    const [kind] = counters.workerErrors.attributes
    this.workerStarts = families.workerStarts.child()
    this.workerShutdowns = families.workerShutdowns.child()
    this.workerErrors = each(kind.values, (v) => families.workerErrors.child(v))
    this.workflowsStarted = families.workflowsStarted.child()
    const ends = {
      completed: families.workflowsCompleted.child(),
      failed: families.workflowsFailed.child(),
      cancelled: families.workflowsCancelled.child(),
    }
    const [outcome] = histograms.workflowDuration.attributes
    this.workflowsEnded = each(outcome.values, (v) => ({
      count: ends[v],
      took: families.workflowDuration.child(v),
    }))
    this.observerErrors = new Limited(observerLimit, (name) => families.observerErrors.child(name))
    this.storeCalls = new Limited(scriptLimit, (script) => families.storeCall.child(script))
    this.eventsLag = families.eventsLag.child()
    this.stallRecovery = families.stallRecovery.child()
    this.schedules = new Limited(scheduleLimit, (name) => scheduleMeasures(families, name))
  }
}

export interface ScheduleMeasures {
  readonly label: string
  readonly lateness: Histogram
  readonly missed: Counter
  readonly skipped: Readonly<Record<"overlap", Counter>>
}

function scheduleMeasures(families: Families, label: string): ScheduleMeasures {
  const [, reason] = counters.scheduleSkipped.attributes
  return {
    label,
    lateness: families.scheduleLateness.child(label),
    missed: families.scheduleMissed.child(label),
    skipped: each(reason.values, (value) => families.scheduleSkipped.child(label, value)),
  }
}
