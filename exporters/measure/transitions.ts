import type { Source, Transition } from "../../src/model/observer.ts"
import type { ProcessMeasures } from "./process.ts"
import type { ObjectiveMeasure, TaskMeasures } from "./task.ts"
import type { Tasks } from "./tasks.ts"

type Of<K extends Transition["kind"]> = Extract<Transition, { kind: K }>
type Rules = { readonly [K in Transition["kind"]]: (transition: Of<K>) => void }

/**
 * What each transition measures. At rest, per task, over all processes:
 * started = completed + attempts.failed + cancelled{active} + stalled{recovered} + released + active;
 * jobs.failed = attempts.failed{will_retry=false} + jobs.failed{cause=expired};
 * dispatched + revived = completed + failed + cancelled + expired{discarded} + waiting + parked + delayed + active.
 */
export function transitionRules(tasks: Tasks, process: ProcessMeasures, clock: Source["clock"]): Rules {
  return {
    dispatched({ dispatch, stored, duplicates, throttled, replaced, payloadBytes }) {
      const task = tasks.get(dispatch.task)
      if (stored > 0) task.dispatched.add(stored)
      if (duplicates > 0) task.rejected.duplicate.add(duplicates)
      if (throttled) task.rejected.throttled.add(throttled)
      if (replaced) task.rejected.debounced.add(replaced)
      for (const bytes of payloadBytes) task.payload.in.record(bytes)
    },
    rejected({ dispatch, reason, count }) {
      tasks.get(dispatch.task).rejected[reason].add(count)
    },
    active({ attempt }) {
      const task = tasks.get(attempt.task)
      task.started.add()
      task.wait.record(attempt.waitMs / 1000, attempt.trace)
      judge(task.waitWithin, attempt.waitMs)
    },
    progress({ attempt }) {
      tasks.get(attempt.task).progress.add()
    },
    completed({ attempt, durationMs, totalMs, resultBytes }) {
      const task = tasks.get(attempt.task)
      task.completed.add()
      task.duration.completed.record(durationMs / 1000, attempt.trace)
      task.payload.out.record(resultBytes)
      judge(task.durationWithin, durationMs)
      ended(task, "completed", totalMs, attempt.attempt)
    },
    failed({ attempt, errorType, willRetry, durationMs, cause, totalMs }) {
      const task = tasks.get(attempt.task)
      task.attemptFailed(errorType, willRetry).add()
      task.duration[willRetry ? "retried" : "failed"].record(durationMs / 1000, attempt.trace)
      if (willRetry) return
      task.failed[cause].add()
      ended(task, "failed", totalMs ?? 0, attempt.attempt)
    },
    retrying({ attempt }) {
      tasks.get(attempt.task).retried.add()
    },
    cancelled({ attempt, durationMs, totalMs }) {
      const task = tasks.get(attempt.task)
      task.cancelled.active.add()
      task.duration.cancelled.record(durationMs / 1000, attempt.trace)
      ended(task, "cancelled", totalMs, attempt.attempt)
    },
    released({ attempt, durationMs }) {
      const task = tasks.get(attempt.task)
      task.released.add()
      task.duration.released.record(durationMs / 1000, attempt.trace)
    },
    lost({ attempt, durationMs }) {
      const task = tasks.get(attempt.task)
      task.leasesLost.add()
      task.duration.lost.record(durationMs / 1000, attempt.trace)
    },
    // No duration: nobody ran it, or the process that did reports `lost`.
    removed({ task: name, state, totalMs, attempts }) {
      const task = tasks.get(name)
      task.cancelled[state].add()
      ended(task, "cancelled", totalMs, attempts)
    },
    revived({ task, jobs }) {
      tasks.get(task).revived.add(jobs.length)
    },
    stalled({ task: name, action, recoveryMs, totalMs, attempt }) {
      const task = tasks.get(name)
      task.stalled[action].add()
      process.stallRecovery.record(recoveryMs / 1000)
      if (action === "recovered") return
      task.attemptFailed("StalledError", false).add()
      task.failed.stalled.add()
      ended(task, "failed", totalMs, attempt)
    },
    "workflow started"() {
      process.workflowsStarted.add()
    },
    "workflow ended"({ outcome, durationMs }) {
      const { count, took } = process.workflowsEnded[outcome]
      count.add()
      took.record(durationMs / 1000)
    },
    // Nothing came to be.
    "workflow refused"() {},
    // One that is kept has failed without an attempt; of one that is discarded, this counter is all.
    expired({ task: name, discarded, totalMs, attempts }) {
      const task = tasks.get(name)
      task.expired.add()
      if (discarded) return
      task.failed.expired.add()
      ended(task, "failed", totalMs, attempts)
    },
    "worker ready"() {
      process.workerStarts.add()
      process.workersReadyAt = clock.now()
    },
    "worker closing"() {
      process.workerShutdowns.add()
    },
    "worker error"({ errorKind }) {
      process.workerErrors[errorKind].add()
    },
    delivered({ task, count, lagMs }) {
      if (count === 0) return
      tasks.get(task).eventsDelivered.add(count)
      process.eventsLag.record(lagMs / 1000, undefined, count)
    },
    "events lost"({ task, lost }) {
      tasks.get(task).eventsLost.add(lost)
    },
    "observer error"({ observer }) {
      process.observerErrors.get(observer).add()
    },
    "schedule fired"({ schedule, lateMs }) {
      process.schedules.get(schedule).lateness.record(lateMs / 1000)
    },
    "schedule missed"({ schedule, count }) {
      process.schedules.get(schedule).missed.add(count)
    },
    "schedule skipped"({ schedule, reason, count }) {
      process.schedules.get(schedule).skipped[reason].add(count)
    },
    // What follows from a request counts when it is honoured.
    "cancel requested"() {},
    // Counted as it began.
    "worker closed"() {},
    log() {},
  }
}

/** What every end of a job records, whoever brought it about. */
function ended(
  task: TaskMeasures,
  outcome: "completed" | "failed" | "cancelled",
  totalMs: number,
  attempts: number,
): void {
  task.total[outcome].record(totalMs / 1000)
  if (attempts > 0) task.attempts[outcome].record(attempts)
  const { success } = task
  if (success === undefined || outcome === "cancelled") return
  success.events.add()
  if (outcome === "failed") success.breaches.add()
}

function judge(objective: ObjectiveMeasure | undefined, tookMs: number): void {
  if (objective === undefined) return
  objective.events.add()
  if (tookMs > objective.withinMs) objective.breaches.add()
}
