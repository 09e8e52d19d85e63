import { ConnectionError, PermissionError, TaskoraError } from "../model/errors.ts"
import { StoreError } from "./store.ts"

/** A failure of the store as users are told of it; their own errors pass as they are. */
export function storeFailure(error: unknown): TaskoraError {
  if (error instanceof TaskoraError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof StoreError && message.includes("NOPERM")) return new PermissionError(message)
  if (error instanceof StoreError && error.fate !== "refused")
    return new ConnectionError(`the store cannot be reached: ${message}`, { cause: error })
  return new TaskoraError(`the store cannot be used: ${message}`, "STORE", { cause: error })
}

/** Whatever is asked of an app after its end. */
export function closedError(): TaskoraError {
  return new TaskoraError("this app is closed; make a new one with createTaskora()", "CLOSED")
}
