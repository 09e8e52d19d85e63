import type { Attributes } from "@opentelemetry/api"

/**
 * The names that our spans use, pinned to one version of OpenTelemetry's semantic conventions. Those for messaging are
 * still in development (1.45 has `messaging.system.name` where older ones had `messaging.system`), so they are written
 * out here instead of being imported from an incubating entry point that may change with any minor release.
 */
export const conventionsVersion = "1.45.0"
export const schemaUrl = `https://opentelemetry.io/schemas/${conventionsVersion}`

/** The instrumentation scope of every span and instrument. */
export const scopeName = "taskora"
export const systemName = "taskora"

/** Every attribute of every span and span event, and what it says. */
export const attributeMeanings = {
  "messaging.system.name": "always `taskora`",
  "messaging.operation.name":
    "`send`, `create`, `process`, `recover`, `cancel` or `retry`; of a workflow `dispatch` or `end`",
  "messaging.operation.type":
    "`send`, `create`, `process` or `settle`, where the conventions have a word for it",
  "messaging.destination.name": "the task",
  "messaging.message.id": "the job's id",
  "messaging.taskora.workflow": "id of the workflow",
  "messaging.taskora.duration_ms": "from the workflow's dispatch to its end, ms",
  "messaging.client.id": "the app instance",
  "messaging.batch.message_count":
    "jobs of one `dispatchMany`, of a workflow, or of one batch that was retried by hand",
  "messaging.message.body.size": "the payload, bytes",
  "server.address": "host of the store",
  "server.port": "port of the store",
  "error.type": "class of what was thrown; only on failure",
  "exception.type": "class of what was thrown",
  "exception.message": 'its message, with `capture.errors: "message"`',
  "exception.stacktrace": 'its stack, with `capture.errors: "message"`',
  "messaging.taskora.attempt": "number of the attempt, from 1",
  "messaging.taskora.max_attempts": "attempts that the job may have",
  "messaging.taskora.outcome":
    "`completed`, `failed`, `retried`, `cancelled`, `released` or `lost`; of a job that expired `expired` or `discarded`",
  "messaging.taskora.will_retry": "whether another attempt follows the failed one",
  "messaging.taskora.wait_ms": "eligible to claimed, ms",
  "messaging.taskora.delay_ms": "delay of the dispatch, or backoff to the next attempt, ms",
  "messaging.taskora.priority": "priority of the job",
  "messaging.taskora.schedule": "the schedule that fired",
  "messaging.taskora.worker": "the app instance that ran the attempt, started, or shut down",
  "messaging.taskora.next_attempt": "number of the attempt that follows",
  "messaging.taskora.decision":
    "of a dispatch with `jobId`, `debounce`, `throttle` or `deduplicate`: `stored`, `debounced` (stored in the place of an earlier one), `duplicate` or `throttled`",
  "messaging.taskora.duplicates": "jobs that were not stored because another stands for them",
  "messaging.taskora.throttled": "jobs that were not stored because a throttle refused them",
  "messaging.taskora.replaced": "earlier jobs that debounced ones replaced",
  "messaging.taskora.reason": "why a dispatch was rejected, or the reason given to `cancel()`",
  "messaging.taskora.progress": "the reported number",
  "messaging.taskora.action": "what recovery did: `recovered` or `failed`",
  "messaging.taskora.count": "stalls in this life of the job",
  "messaging.taskora.recovery_ms": "the lease's deadline to its recovery, ms",
  "messaging.taskora.state": "where the job was when it was cancelled",
  "messaging.taskora.tasks": "tasks that the worker runs",
  "messaging.taskora.error_kind": "kind of the worker's error, as in `taskora.worker.errors`",
} as const

export type AttributeName = keyof typeof attributeMeanings

/** Attributes by the names above only: a misspelt one does not compile. */
export type SpanAttributes = { [K in AttributeName]?: Attributes[string] }

/** The label of error types that are not plain class names. */
export const otherErrorType = "_OTHER"

const classNamePattern = /^[A-Za-z_][\w.]{0,63}$/

/** A class name fit for `error.type`: anything else could be a message, an id, or without bound. */
export function errorType(className: string): string {
  return classNamePattern.test(className) ? className : otherErrorType
}
