import type { Stored } from "./backlog.ts"
import { rejectReason } from "./dispatch-errors.ts"
import type { TaskoraError } from "./model/errors.ts"
import type { Dispatch } from "./model/observer.ts"
import type { Core } from "./store/core.ts"

/** Gathers what became of one dispatch's jobs, and tells the observers once. */
export class DispatchReport {
  private left: number
  private storedJobs = 0
  private duplicates = 0
  private throttled = 0
  private replaced = 0
  private readonly bytes: number[] = []
  private readonly refusals = new Map<TaskoraError, number>()

  constructor(
    count: number,
    private readonly dispatch: Dispatch,
    private readonly core: Core,
  ) {
    this.left = count
  }

  stored({ enqueued, replaced, retryAfterMs }: Stored, bytes: number): void {
    if (enqueued) {
      this.storedJobs++
      if (replaced) this.replaced++
      this.bytes.push(bytes)
    } else if (retryAfterMs !== undefined) {
      this.throttled++
    } else {
      this.duplicates++
    }
    this.done()
  }

  rejected(error: TaskoraError): void {
    this.refusals.set(error, (this.refusals.get(error) ?? 0) + 1)
    this.done()
  }

  private done(): void {
    if (--this.left > 0) return
    const { observers } = this.core
    for (const [error, count] of this.refusals)
      observers.transition({
        kind: "rejected",
        dispatch: this.dispatch,
        count,
        reason: rejectReason(error),
        error,
      })
    const { dispatch, storedJobs: stored, duplicates, throttled, replaced, bytes: payloadBytes } = this
    if (stored + duplicates + throttled === 0) return
    observers.transition({
      kind: "dispatched",
      dispatch,
      stored,
      duplicates,
      ...(throttled > 0 && { throttled }),
      ...(replaced > 0 && { replaced }),
      payloadBytes,
    })
  }
}
