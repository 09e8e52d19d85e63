import type { TaskoraError } from "./model/errors.ts"

/** What was learnt of a job by storing it. */
export interface Stored {
  readonly enqueued: boolean
  /** Server time of the call. */
  readonly at: number
  /** Where nothing was stored: the job that was there already. */
  readonly existingId?: string
  /** Where a throttle refused it: when it may come again. */
  readonly retryAfterMs?: number
  /** The job whose place it took. */
  readonly replaced?: Replaced
}

export interface Replaced {
  readonly id: string
  /** As it was, without its data; "" where it is gone. */
  readonly record: string
}

/** A job on its way into the store. */
export interface Pending {
  readonly id: string
  /** "" for a plain job; else as `enqueue.lua` takes it. */
  readonly options: string
  /** Headers, a newline, data. */
  readonly body: string
  readonly bytes: number
  /** Monotonic ms; after it an unsent job is not sent any more. */
  readonly deadline: number
  stored(stored: Stored): void
  refused(error: TaskoraError): void
}

const heldJobs = 10_000
const heldBytes = 64 * 1_048_576

/** Counts what all producers of an app have not stored yet. */
export class Backlog {
  jobs = 0
  bytes = 0
  private waiting: (() => void)[] = []

  /** Many jobs may come before the first connection was tried, but never more bytes than can be held. */
  isFull({ away }: { readonly away: boolean }): boolean {
    return (away && this.jobs >= heldJobs) || this.bytes >= heldBytes
  }

  add(job: Pending): void {
    this.jobs++
    this.bytes += job.bytes
  }

  remove(jobs: readonly Pending[]): void {
    this.jobs -= jobs.length
    for (const job of jobs) this.bytes -= job.bytes
    if (this.jobs > 0) return
    const waiting = this.waiting
    this.waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves when every job is stored or refused. */
  async emptied(): Promise<void> {
    while (this.jobs > 0) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }
}
