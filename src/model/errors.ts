import type { SchemaIssue } from "./standard-schema.ts"

/** Stable codes: programs may compare them, and they never change their meaning. */
export type ErrorCode =
  | "TASKORA"
  | "INVALID"
  | "CLOSED"
  | "VALIDATION"
  | "SERIALIZATION"
  | "PAYLOAD_TOO_LARGE"
  | "RETRY"
  | "TIMEOUT"
  | "JOB_FAILED"
  | "JOB_GONE"
  | "WORKFLOW_FAILED"
  | "CANCELLED"
  | "STALLED"
  | "EXPIRED"
  | "THROTTLED"
  | "DUPLICATE"
  | "LEASE_LOST"
  | "EVENTS_LOST"
  | "CONNECTION"
  | "UNCONFIRMED"
  | "PERMISSION"
  | "STORE"
  | "SHUTDOWN"

/** What all of Taskora's errors extend. `code` is stable; the message says what was wrong, with what value, and what to do. */
export class TaskoraError extends Error {
  override readonly name: string = "TaskoraError"
  constructor(
    message: string,
    readonly code: ErrorCode = "TASKORA",
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/**
 * Data or a result that does not match the task's schema, or data of a version that the task does not take. Not retried
 * unless `retryOn` names it. Its message may quote the value; spans and metrics therefore never show it.
 */
export class ValidationError extends TaskoraError {
  override readonly name = "ValidationError"
  /** What the schema found wrong; empty where no schema was asked. */
  readonly issues: readonly SchemaIssue[]
  constructor(message: string, options: ErrorOptions & { readonly issues?: readonly SchemaIssue[] } = {}) {
    const { issues = [], ...rest } = options
    super(message, "VALIDATION", rest)
    this.issues = issues
  }
}

/** Data, a result or stored text that the serializer cannot carry. */
export class SerializationError extends TaskoraError {
  override readonly name: string = "SerializationError"
  constructor(message: string, options?: ErrorOptions, code: ErrorCode = "SERIALIZATION") {
    super(message, code, options)
  }
}

/** More bytes than `limits.payloadBytes`. */
export class PayloadTooLargeError extends SerializationError {
  override readonly name = "PayloadTooLargeError"
  constructor(
    message: string,
    readonly bytes: number,
    readonly limit: number,
  ) {
    super(message, undefined, "PAYLOAD_TOO_LARGE")
  }
}

/** Made by `ctx.retry()`, to be thrown: retries while attempts remain, whatever `retryOn` says. */
export class RetryError extends TaskoraError {
  override readonly name = "RetryError"
  constructor(
    reason: string,
    /** Before the next attempt, ms; absent: the task's backoff. */
    readonly delayMs?: number,
  ) {
    super(reason, "RETRY")
  }
}

/** A handler that ran longer than its task's `timeout`, or a wait that ended before its job. */
export class TimeoutError extends TaskoraError {
  override readonly name = "TimeoutError"
  constructor(message: string) {
    super(message, "TIMEOUT")
  }
}

/** Rejects `handle.result` of a failed job. `cause` carries the original error's name, message and stack. */
export class JobFailedError extends TaskoraError {
  override readonly name = "JobFailedError"
  constructor(message: string, options?: ErrorOptions) {
    super(message, "JOB_FAILED", options)
  }
}

/** The job is unknown, or its record has been trimmed by retention. */
export class JobGoneError extends TaskoraError {
  override readonly name = "JobGoneError"
  constructor(message: string) {
    super(message, "JOB_GONE")
  }
}

/** The job was cancelled; also the reason of the handler's signal then. */
export class CancelledError extends TaskoraError {
  override readonly name = "CancelledError"
  constructor(
    message: string,
    /** What the canceller gave; undefined where it gave none. */
    readonly reason?: string,
  ) {
    super(message, "CANCELLED")
  }
}

/** The job's workers vanished more often than `stall.maxCount` allows. */
export class StalledError extends TaskoraError {
  override readonly name = "StalledError"
  constructor(message: string) {
    super(message, "STALLED")
  }
}

/** The job was not started within its `ttl`. */
export class ExpiredError extends TaskoraError {
  override readonly name = "ExpiredError"
  constructor(message: string) {
    super(message, "EXPIRED")
  }
}

/** The dispatch was one too many for its `throttle`; nothing was stored. */
export class ThrottledError extends TaskoraError {
  override readonly name = "ThrottledError"
  constructor(
    message: string,
    /** The throttle's. */
    readonly key: string,
    /** After so many ms the same dispatch may succeed, if no others come first. */
    readonly retryAfterMs: number,
  ) {
    super(message, "THROTTLED")
  }
}

/** Another job stands for the dispatch (`deduplicate`, `jobId`); nothing was stored. Thrown with `throwOnReject` only. */
export class DuplicateJobError extends TaskoraError {
  override readonly name = "DuplicateJobError"
  constructor(
    message: string,
    /** Of `deduplicate`; or the `jobId`. */
    readonly key: string,
    /** The job that was there already. */
    readonly existingId: string,
  ) {
    super(message, "DUPLICATE")
  }
}

/** This worker no longer holds the job: what it does now has no effect. */
export class LeaseLostError extends TaskoraError {
  override readonly name = "LeaseLostError"
  constructor(message: string) {
    super(message, "LEASE_LOST")
  }
}

/** Events of a task were trimmed from its stream before this process could read them. */
export class EventsLostError extends TaskoraError {
  override readonly name = "EventsLostError"
  constructor(
    message: string,
    readonly task: string,
    /** How many transitions were not delivered. */
    readonly lost: number,
  ) {
    super(message, "EVENTS_LOST")
  }
}

/** The store cannot be reached, or not in time. The call had no effect. */
export class ConnectionError extends TaskoraError {
  override readonly name = "ConnectionError"
  /** True where the server answered and turned us away: a wrong password, a database that does not exist. */
  readonly refused: boolean
  constructor(message: string, options: ErrorOptions & { readonly refused?: boolean } = {}) {
    const { refused = false, ...rest } = options
    super(message, "CONNECTION", rest)
    this.refused = refused
  }
}

/** The call was sent and its answer never came: it took effect once or not at all. */
export class UnconfirmedError extends TaskoraError {
  override readonly name = "UnconfirmedError"
  constructor(message: string, options?: ErrorOptions) {
    super(message, "UNCONFIRMED", options)
  }
}

/** The Redis user lacks a permission; the message names it. */
export class PermissionError extends TaskoraError {
  override readonly name = "PermissionError"
  constructor(
    message: string,
    readonly missing: readonly string[] = [],
  ) {
    super(message, "PERMISSION")
  }
}

/** A job of the workflow failed for good (see `cause`), and with it the workflow; what had not run was cancelled. */
export class WorkflowFailedError extends TaskoraError {
  override readonly name = "WorkflowFailedError"
  constructor(
    message: string,
    /** The job that failed, as `getGraph()` names it; undefined where it was none. */
    readonly node: string | undefined,
    options?: ErrorOptions,
  ) {
    super(message, "WORKFLOW_FAILED", options)
  }
}
