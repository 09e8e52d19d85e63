import { AsyncLocalStorage } from "node:async_hooks"

/**
 * Runs a function in the async context of this module's loading, in which nothing of the user's is active.
 * All loops and batches of the engine start through it, so that no job runs in the context of whoever happened to
 * dispatch first, and user code called from a loop starts from the root.
 */
export const neutrally: <T>(fn: () => T) => T = AsyncLocalStorage.snapshot()
