/**
 * The page of events, as types. This one map types `on()` and the emitter alike; the reference page is held against it.
 */

/** Payloads of the events of one task. `R` is the handler's result. */
export interface TaskEvents<R = unknown> {
  /** A worker began an attempt. */
  active: { id: string; attempt: number }
  /** The handler reported progress: the first ten reports of a run at once, then at most one per 100 ms, the last always. */
  progress: { id: string; progress: Progress }
  /** The handler's result was stored. `duration`: whole ms of this attempt, handler and middleware. */
  completed: { id: string; result: R; duration: number; attempt: number }
  /** An attempt failed, once per failed attempt. `error`: the message, at most 4 KiB. */
  failed: { id: string; error: string; attempt: number; willRetry: boolean }
  /** The failed attempt will be followed by another one. */
  retrying: { id: string; attempt: number; nextAttempt: number; error: string }
  /** A worker vanished under the job. `count`: stalls in this life of the job. */
  stalled: { id: string; count: number; action: StallAction }
  /** The job was cancelled. There is no `reason` key where none was given. */
  cancelled: { id: string; reason?: string }
  /** The job was not started within its `ttl`. `attempt`: attempts begun before, 0 for none. */
  expired: { id: string; attempt: number }
}

/** Payloads of the events of workflows; `duration`: whole ms from the dispatch. `R` is what the workflow gives. */
export interface WorkflowEvents<R = unknown> {
  /** Its last job completed. `result` is undefined where it is too long to travel (`meta.resultTruncated`): ask the handle. */
  completed: { id: string; name: string; result: R; duration: number }
  /** A job failed for good, or the workflow did not end within its `ttl`; no job of it runs any more. */
  failed: { id: string; name: string; error: string; duration: number }
  /** No job of it runs any more. There is no `reason` key where none was given. */
  cancelled: { id: string; name: string; reason?: string; duration: number }
}
export type WorkflowEventName = keyof WorkflowEvents

export type StallAction = "recovered" | "failed"
/** What `ctx.progress()` takes. */
export type Progress = number | object
export type TaskEventName = keyof TaskEvents
export type AppTaskEventName = `task:${TaskEventName}`

/** Events of the whole app: each task event with `task` added, and the life of the workers. */
export type AppEvents = {
  [K in TaskEventName as `task:${K}`]: { task: string } & TaskEvents[K]
} & {
  [K in WorkflowEventName as `workflow:${K}`]: WorkflowEvents[K]
} & {
  "worker:ready": undefined
  "worker:error": WorkerError
  "worker:closing": undefined
}
export type AppEventName = keyof AppEvents

/** The second argument of every task-event listener. */
export interface EventMeta {
  /** When the transition happened, server time, ms since the epoch. */
  readonly timestamp: number
  /** Number of the transition within its task, rising by one each. */
  readonly seq: number
  /** The app instance (process) that made the transition. */
  readonly instance: string
  /** True where the result was too large for the event and its job was gone before it could be fetched. */
  readonly resultTruncated?: true
}

export const taskEventNames = [
  "active",
  "progress",
  "completed",
  "failed",
  "retrying",
  "stalled",
  "cancelled",
  "expired",
] as const satisfies readonly TaskEventName[]

export const workflowEventNames = [
  "completed",
  "failed",
  "cancelled",
] as const satisfies readonly WorkflowEventName[]

export const workerEventNames = ["worker:ready", "worker:error", "worker:closing"] as const

export const appEventNames = [
  ...taskEventNames.map((name): AppTaskEventName => `task:${name}`),
  ...workflowEventNames.map((name) => `workflow:${name}` as const),
  ...workerEventNames,
] as const satisfies readonly AppEventName[]

/** An error on its way to `worker:error`, with the kind of trouble that it tells of. */
export type WorkerError = Error & { readonly kind?: WorkerErrorKind }

/** What went wrong, on `worker:error` and as the label `kind` of `taskora.worker.errors`. */
export type WorkerErrorKind =
  | "connection"
  | "listener"
  | "events_lost"
  | "script"
  | "observer"
  | "dispatch"
  | "other"
