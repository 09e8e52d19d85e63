import { CancelledError, LeaseLostError, TaskoraError, TimeoutError } from "../model/errors.ts"
import type { Attempt } from "../model/observer.ts"
import type { PendingReports } from "./pending-reports.ts"

/** How a run ended, as the worker sees it. The store has the last word (see `settle.lua`). */
export type Ending =
  | { readonly kind: "completed"; readonly result: string }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "retried"; readonly error: unknown; readonly delayMs: number }
  | { readonly kind: "cancelled"; readonly reason: string | undefined }
  | { readonly kind: "released" }
  | { readonly kind: "lost" }

/** One attempt under way: its lease, its signal, and the one ending it can have. */
export class Run {
  readonly startedAt: number
  /** Set once, by whatever ends the run first; what comes later has no effect. */
  ending: Ending | undefined
  durationMs = 0
  /** When the lease was last known to be good, monotonic ms. */
  leasedAt: number
  /** Whether the run's trace has been stored with the job. */
  traceStored = false
  /** Its reports of progress; absent until the first one. */
  reports: PendingReports | undefined
  /** The store knows that this job has progress to forget with it. */
  progressStored = false
  logged = { lines: 0, bytes: 0 }
  /** Its outcome is on the way to the store. */
  settling = false
  /** How often the server would not take its outcome. */
  refusals = 0
  /** Runs a function in the context of the handler; kept where `onCancel` needs it. */
  enter: (<T>(fn: () => T) => T) | undefined
  /** The handler (or what it left running) has ended, and with it the slot is free. */
  over = false
  /** How many calls, and batches of lines that wait for one, must be answered before the run is settled. */
  private holds = 0
  private whenFree: (() => void) | undefined
  private controller: AbortController | undefined
  private abortReason: Error | undefined

  constructor(
    readonly attempt: Attempt,
    readonly lease: {
      readonly token: string
      readonly now: number
      readonly data: string
      readonly damaged: boolean
      /** Of the data. */
      readonly version: number
      /** Whether the job is a node of a workflow. */
      readonly node: boolean
    },
  ) {
    this.startedAt = lease.now
    this.leasedAt = lease.now
  }

  get id(): string {
    return this.attempt.id
  }

  /** Made when first asked for: most handlers never look at their signal. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    if (this.abortReason && !this.controller.signal.aborted) this.controller.abort(this.abortReason)
    return this.controller.signal
  }

  get aborted(): Error | undefined {
    return this.abortReason
  }

  abort(reason: Error): void {
    if (this.abortReason) return
    this.abortReason = reason
    this.controller?.abort(reason)
  }

  /** Keeps the outcome back: something that the run said must be stored before it. */
  hold(): void {
    this.holds++
  }

  /** Ends one hold. */
  release(): void {
    if (--this.holds > 0) return
    const settle = this.whenFree
    this.whenFree = undefined
    settle?.()
  }

  /** Calls `settle` as soon as nothing holds the outcome back. */
  whenSaid(settle: () => void): void {
    if (this.holds === 0) settle()
    else this.whenFree = settle
  }

  /** Takes the ending if there is none yet. `durationMs`: handler and middleware, monotonic. */
  end(ending: Ending, durationMs: number): boolean {
    if (this.ending) return false
    this.ending = ending
    this.durationMs = Math.max(0, durationMs)
    return true
  }
}

/** Of a request to cancel, as the store keeps it: JSON, or "" where none was given. */
export function requestReason(text: string | undefined): string | undefined {
  return text ? (JSON.parse(text) as string) : undefined
}

export function timeoutReason(run: Run, timeoutMs: number): TimeoutError {
  return new TimeoutError(
    `job ${run.id} of task "${run.attempt.task}" ran longer than its timeout of ${timeoutMs} ms`,
  )
}

export function cancelReason(run: Run, reason: string | undefined): CancelledError {
  const because = reason === undefined ? "" : `: ${reason}`
  return new CancelledError(`job ${run.id} of task "${run.attempt.task}" was cancelled${because}`, reason)
}

export function lostReason(run: Run): LeaseLostError {
  return new LeaseLostError(
    `job ${run.id} of task "${run.attempt.task}" is no longer this worker's; what it does now has no effect`,
  )
}

export function shutdownReason(run: Run): TaskoraError {
  return new TaskoraError(`the worker is shutting down; job ${run.id} goes back to its queue`, "SHUTDOWN")
}
