import type { WorkerErrorKind } from "../../src/model/events.ts"
import {
  type FailureCause,
  type RejectReason,
  type SkipReason,
  transitionNames,
} from "../../src/model/observer.ts"
import { closed, open } from "./instrument.ts"

export const task = open("task")
export const errorType = open("error.type")
export const observer = open("observer")
export const script = open("script")
/** Names of instruments that have an attribute with a limit. */
export const instrument = open("instrument")

/** Names of schedules. */
export const schedule = open("schedule")

export const willRetry = closed("will_retry", ["true", "false"])
export const cause = closed("cause", [
  "error",
  "timeout",
  "stalled",
  "expired",
  "other",
] as const satisfies FailureCause[])
export const reason = closed("reason", [
  "serialization",
  "too_large",
  "validation",
  "connection",
  "store_full",
  "unconfirmed",
  "invalid",
  "throttled",
  "duplicate",
  "debounced",
  "other",
] as const satisfies RejectReason[])
export const skipReason = closed("reason", ["overlap"] as const satisfies SkipReason[])
export const action = closed("action", ["recovered", "failed"])
export const cancelledState = closed("state", ["waiting", "delayed", "active"])
export const queueState = closed("state", ["waiting", "parked", "delayed", "active"])
export const slotState = closed("state", ["busy", "idle", "abandoned"])
export const errorKind = closed("kind", [
  "connection",
  "listener",
  "events_lost",
  "script",
  "observer",
  "dispatch",
  "other",
] as const satisfies WorkerErrorKind[])
export const objective = closed("objective", ["success", "wait", "duration"])
export const transition = closed("transition", transitionNames)
/** How one attempt ended. */
export const attemptOutcome = closed("outcome", [
  "completed",
  "failed",
  "retried",
  "cancelled",
  "lost",
  "released",
])
/** How a job ended. */
export const jobOutcome = closed("outcome", ["completed", "failed", "cancelled"])
export const workflowOutcome = closed("outcome", ["completed", "failed", "cancelled"])
/** `in`: a job's data as dispatched; `out`: its result. */
export const direction = closed("direction", ["in", "out"])

// A union with a new member that is missing above must not compile.
type Missing =
  | Exclude<RejectReason, (typeof reason.values)[number]>
  | Exclude<FailureCause, (typeof cause.values)[number]>
  | Exclude<SkipReason, (typeof skipReason.values)[number]>
  | Exclude<WorkerErrorKind, (typeof errorKind.values)[number]>
type None<T extends never> = T
export type EveryValueIsListed = None<Missing>
