import type { Duration } from "./duration.ts"
import type { RetryError } from "./errors.ts"
import type { Progress } from "./events.ts"

/** What a handler gets beside its data. */
export interface Context {
  readonly id: string
  /** Number of this run, from 1. A recovered or handed-back job runs again under the same number. */
  readonly attempt: number
  /** When the job was created, server time, ms since the epoch. */
  readonly timestamp: number
  /** Aborts on cancel, timeout, lost lease and shutdown; `signal.reason` is the matching error. */
  readonly signal: AbortSignal
  /**
   * Reports progress: the first ten reports of a run are told at once, then at most one per 100 ms (the last value wins),
   * and the last always before the outcome.
   * @throws SerializationError for what JSON cannot carry
   */
  progress(value: Progress): void
  /** Adds a line to the job's log: at most 1,000 lines and 64 KiB a job, then one line that says so. */
  readonly log: JobLog
  /** Renews the lease now. @throws LeaseLostError when the job is no longer this worker's */
  heartbeat(): Promise<void>
  /** To be thrown: retries while attempts remain. `delay`: instead of the task's backoff. */
  retry(options?: { readonly delay?: Duration; readonly reason?: string }): RetryError
  /** W3C trace context of this run, if tracing is on. */
  readonly traceparent: string | undefined
}

export interface JobLog {
  info(message: string, meta?: unknown): void
  warn(message: string, meta?: unknown): void
  error(message: string, meta?: unknown): void
}

/** What middleware gets: the handler's context, the task's name, and data and result to read or replace. */
export interface MiddlewareContext extends Context {
  readonly task: { readonly name: string }
  data: unknown
  /** The handler's result, once `next()` has resolved. */
  result: unknown
}
