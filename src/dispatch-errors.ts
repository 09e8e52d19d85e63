import { ConnectionError, PermissionError, TaskoraError, UnconfirmedError } from "./model/errors.ts"
import type { RejectReason } from "./model/observer.ts"
import type { Core } from "./store/core.ts"
import { closedError } from "./store/failure.ts"
import { StoreError } from "./store/store.ts"

/** How long a dispatch waits for its answer, ms. */
export const patienceMs = 5000

export function notReached(): never {
  throw new ConnectionError(`the store could not be reached within ${patienceMs} ms; nothing was stored`)
}

/** Why a call that carried so many jobs failed, in terms of those who dispatched them. */
export function dispatchError(thrown: unknown, jobs: number, { link }: Core): TaskoraError {
  const error = failure(thrown, jobs)
  return link.closed && error instanceof ConnectionError ? closedError() : error
}

function failure(error: unknown, jobs: number): TaskoraError {
  if (error instanceof TaskoraError) return error
  if (!(error instanceof StoreError))
    return new TaskoraError("the jobs could not be stored", "STORE", { cause: error })
  const options = { cause: error }
  switch (error.fate) {
    case "unsent":
    case "unavailable":
      return new ConnectionError(
        `the store could not be reached within ${patienceMs} ms; nothing was stored (${error.message})`,
        options,
      )
    case "unanswered":
      return new UnconfirmedError(
        `the store was lost before it answered: ${jobs > 1 ? "all of this call's jobs were stored, or none" : "the job was stored, or not"}`,
        options,
      )
    case "refused":
      if (error.message.includes("NOPERM")) return new PermissionError(error.message)
      return new TaskoraError(`the store refused the dispatch: ${error.message}`, "STORE", options)
  }
}

/** The label under which a rejected dispatch is counted. */
export function rejectReason(error: TaskoraError): RejectReason {
  if (error.code === "PAYLOAD_TOO_LARGE") return "too_large"
  if (error.code === "SERIALIZATION") return "serialization"
  if (error.code === "VALIDATION") return "validation"
  if (error.code === "CONNECTION") return "connection"
  if (error.code === "UNCONFIRMED") return "unconfirmed"
  return error.code === "STORE" && /\bOOM\b/.test(error.message) ? "store_full" : "other"
}
