import type { Objectives } from "../../src/model/observer.ts"
import { counters, histograms, other } from "../catalogue.ts"
import type { Counter } from "./counter.ts"
import { each, type Families } from "./families.ts"
import type { Histogram } from "./histogram.ts"

/** An objective's counters, and the limit that it sets where it is about time. */
export interface ObjectiveMeasure {
  readonly events: Counter
  readonly breaches: Counter
  readonly withinMs: number
}

const errorClass = /^[A-Za-z_][\w.]{0,63}$/
const errorPairLimit = 900

/** Counts the (task, error class) pairs of a whole store. */
export interface PairBudget {
  used: number
}

/** Every child of one task's label, resolved once: what a transition touches is a property away. */
export class TaskMeasures {
  readonly label: string
  readonly dispatched: Counter
  readonly rejected
  readonly started: Counter
  readonly released: Counter
  readonly completed: Counter
  readonly failed
  readonly retried: Counter
  readonly revived: Counter
  readonly stalled
  readonly expired: Counter
  readonly cancelled
  readonly progress: Counter
  readonly leasesLost: Counter
  readonly eventsDelivered: Counter
  readonly eventsLost: Counter
  readonly duration
  readonly wait: Histogram
  readonly total
  readonly attempts
  readonly payload
  success: ObjectiveMeasure | undefined
  waitWithin: ObjectiveMeasure | undefined
  durationWithin: ObjectiveMeasure | undefined
  readonly #families: Families
  readonly #pairs: PairBudget
  readonly #failedAttempts = new Map<string, { readonly true: Counter; readonly false: Counter }>()

  constructor(families: Families, label: string, pairs: PairBudget) {
    const f = families
    const [, reason] = counters.jobsRejected.attributes
    const [, cause] = counters.jobsFailed.attributes
    const [, action] = counters.jobsStalled.attributes
    const [, state] = counters.jobsCancelled.attributes
    const [, attemptOutcome] = histograms.jobDuration.attributes
    const [, jobOutcome] = histograms.jobTotal.attributes
    const [, direction] = histograms.payloadSize.attributes
    this.#families = families
    this.#pairs = pairs
    this.label = label
    this.dispatched = f.jobsDispatched.child(label)
    this.rejected = each(reason.values, (v) => f.jobsRejected.child(label, v))
    this.started = f.attemptsStarted.child(label)
    this.released = f.attemptsReleased.child(label)
    this.completed = f.jobsCompleted.child(label)
    this.failed = each(cause.values, (v) => f.jobsFailed.child(label, v))
    this.retried = f.jobsRetried.child(label)
    this.revived = f.jobsRevived.child(label)
    this.stalled = each(action.values, (v) => f.jobsStalled.child(label, v))
    this.expired = f.jobsExpired.child(label)
    this.cancelled = each(state.values, (v) => f.jobsCancelled.child(label, v))
    this.progress = f.progressReports.child(label)
    this.leasesLost = f.leasesLost.child(label)
    this.eventsDelivered = f.eventsDelivered.child(label)
    this.eventsLost = f.eventsLost.child(label)
    this.duration = each(attemptOutcome.values, (v) => f.jobDuration.child(label, v))
    this.wait = f.jobWait.child(label)
    this.total = each(jobOutcome.values, (v) => f.jobTotal.child(label, v))
    this.attempts = each(jobOutcome.values, (v) => f.jobAttempts.child(label, v))
    this.payload = each(direction.values, (v) => f.payloadSize.child(label, v))
  }

  /** The counter of failed attempts by class of error; `_OTHER` for a name that is no class name, or one too many. */
  attemptFailed(errorType: string, willRetry: boolean): Counter {
    const pair = this.#failedAttempts.get(errorType) ?? this.#newPair(errorType)
    return willRetry ? pair.true : pair.false
  }

  #newPair(errorType: string) {
    const fits = errorClass.test(errorType) && this.#pairs.used < errorPairLimit
    const label = fits ? errorType : other
    let pair = this.#failedAttempts.get(label)
    if (pair === undefined) {
      const failed = this.#families.attemptsFailed
      // Both at once: the second value is then known, and must not be born at 1.
      pair = {
        true: failed.child(this.label, label, "true"),
        false: failed.child(this.label, label, "false"),
      }
      this.#failedAttempts.set(label, pair)
      if (label !== other) this.#pairs.used += 1
    }
    return pair
  }

  /** Begins to count what a task promises. */
  pursue(objectives: Objectives): void {
    const { success, wait, duration } = objectives
    const measure = (objective: "success" | "wait" | "duration", withinMs: number): ObjectiveMeasure => ({
      events: this.#families.objectiveEvents.child(this.label, objective),
      breaches: this.#families.objectiveBreaches.child(this.label, objective),
      withinMs,
    })
    if (success !== undefined) this.success = measure("success", 0)
    if (wait !== undefined) this.waitWithin = measure("wait", wait.withinMs)
    if (duration !== undefined) this.durationWithin = measure("duration", duration.withinMs)
  }
}
