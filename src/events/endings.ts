import { CancelledError, ExpiredError, JobFailedError, JobGoneError } from "../model/errors.ts"
import type { TaskEvents } from "../model/events.ts"
import { decodeRecord } from "../store/record.ts"
import type { StreamEvent } from "../store/stream.ts"
import type { Delivery } from "./delivery.ts"

export function endsJob({ name, payload }: Delivery): boolean {
  if (name === "failed") return !(payload as TaskEvents["failed"]).willRetry
  return name === "completed" || name === "cancelled" || name === "expired"
}

export function mayEndJob({ name, fields }: StreamEvent): boolean {
  return ["completed", "cancelled", "expired"].includes(name) || (name === "failed" && !fields.willRetry)
}

interface Job {
  readonly task: string
  readonly id: string
}

/** The error of the failure that was told; the record may tell of another life by now. */
export function storedError(text: string, { payload }: Delivery): string | undefined {
  const record = decodeRecord(text)
  const { attempt } = payload as TaskEvents["failed"]
  return record?.state === "failed" && record.attempt === attempt ? record.outcome : undefined
}

export function gone({ task, id }: Job): JobGoneError {
  return new JobGoneError(
    `job ${id} of task "${task}" is unknown, or its record was trimmed; raise retention, or ask for results before the job ends`,
  )
}

export function expired({ task, id }: Job): ExpiredError {
  return new ExpiredError(`job ${id} of task "${task}" was not started within its ttl`)
}

export function cancelled({ task, id }: Job, reason: string | undefined): CancelledError {
  return new CancelledError(
    `job ${id} of task "${task}" was cancelled${reason === undefined ? "" : `: ${reason}`}`,
    reason,
  )
}

/** `stored`: the error as the job's record has it, JSON. */
export function failed(
  { task, id }: Job,
  message: string | undefined,
  stored: string | undefined,
): JobFailedError {
  const cause = new Error(message ?? "unknown error")
  if (stored) {
    try {
      Object.assign(cause, JSON.parse(stored) as object)
    } catch {
      // A damaged error text leaves the message from the event.
    }
  }
  return new JobFailedError(`job ${id} of task "${task}" failed: ${cause.message}`, { cause })
}
