import { ConnectionError, TaskoraError, UnconfirmedError } from "../model/errors.ts"
import { storeFailure } from "../store/failure.ts"
import { StoreError } from "../store/store.ts"

/** How long a change is tried for. */
export const patienceMs = 5000

/** Why a change was not made, or perhaps was: `of`, such as "job a was", and what it was, such as "discarded". */
export function writeFailure(error: unknown, of: string, what: string): TaskoraError {
  if (error instanceof TaskoraError || !(error instanceof StoreError)) return storeFailure(error)
  if (error.fate === "unanswered")
    return new UnconfirmedError(`the store was lost before it answered; ${of} ${what}, or not`, {
      cause: error,
    })
  if (error.fate === "refused") return storeFailure(error)
  return new ConnectionError(`the store could not be reached within ${patienceMs} ms; ${of} not ${what}`, {
    cause: error,
  })
}
