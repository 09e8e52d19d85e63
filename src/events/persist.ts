import { closedError, storeFailure } from "../store/failure.ts"
import type { Link } from "../store/link.ts"
import { StoreError } from "../store/store.ts"

/** Asks again while the store is away: whoever waits for events has time. @throws TaskoraError when the app is closed, or the server refuses */
export async function persist<T>(link: Link, ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (link.closed) throw closedError()
      if (!(error instanceof StoreError) || error.fate === "refused") throw storeFailure(error)
      await link.untilUsable(tries)
    }
  }
}
