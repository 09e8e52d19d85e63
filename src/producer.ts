import { within } from "./model/clock.ts"
import { ConnectionError, PermissionError, TaskoraError, UnconfirmedError } from "./model/errors.ts"
import { neutrally } from "./model/neutral.ts"
import type { RejectReason } from "./model/observer.ts"
import type { Core } from "./store/core.ts"
import { closedError } from "./store/failure.ts"
import type { TaskKeys } from "./store/keys.ts"
import { Lane } from "./store/lane.ts"
import { scripts } from "./store/scripts.ts"
import { StoreError } from "./store/store.ts"

/** What was learnt of a job by storing it. */
export interface Stored {
  readonly enqueued: boolean
  /** Server time of the call. */
  readonly at: number
}

/** A job on its way into the store. */
export interface Pending {
  readonly id: string
  /** "" or "delay,priority,named", as `enqueue.lua` takes it. */
  readonly options: string
  /** Headers, a newline, data. */
  readonly body: string
  readonly bytes: number
  /** Monotonic ms; after it an unsent job is not sent any more. */
  readonly deadline: number
  stored(stored: Stored): void
  refused(error: TaskoraError): void
}

const patienceMs = 5000
const chunkJobs = 500
const chunkBytes = 1_048_576
const lanes = 4
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

/**
 * Stores one task's new jobs. Those dispatched before the microtasks of one checkpoint have run go together; at most four
 * calls are under way.
 */
export class Producer {
  private readonly keys: TaskKeys
  private readonly free: Lane[]
  private queue: Pending[] = []
  private scheduled = false

  constructor(
    task: string,
    private readonly around: {
      readonly core: Core
      readonly backlog: Backlog
      /** Undefined when nothing stands in the way of sending. */
      readonly ready: () => Promise<void> | undefined
    },
  ) {
    this.keys = around.core.link.keys(task)
    this.free = Array.from({ length: lanes }, (_, i) => new Lane(around.core.link, `d${i}`))
  }

  /** The deadline of a job dispatched now. */
  deadline(): number {
    return this.around.core.link.clock.monotonic() + patienceMs
  }

  add(job: Pending): void {
    const { backlog, core } = this.around
    if (!core.link.connected() && backlog.isFull(core.link)) {
      job.refused(
        new ConnectionError(
          `the store is not connected, and ${backlog.jobs} dispatches (${backlog.bytes} bytes) are held already; job ${job.id} was not stored`,
        ),
      )
      return
    }
    backlog.add(job)
    this.queue.push(job)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    neutrally(() => queueMicrotask(() => this.flush()))
  }

  private flush(): void {
    this.scheduled = false
    while (this.queue.length > 0 && this.free.length > 0) {
      const lane = this.free.pop()!
      void this.send(lane, this.takeChunk())
    }
  }

  private takeChunk(): Pending[] {
    let bytes = 0
    let count = 0
    while (count < this.queue.length && count < chunkJobs) {
      bytes += this.queue[count]!.bytes
      if (count > 0 && bytes > chunkBytes) break
      count++
    }
    if (count < this.queue.length) return this.queue.splice(0, count)
    const all = this.queue
    this.queue = []
    return all
  }

  private async send(lane: Lane, chunk: readonly Pending[]): Promise<void> {
    const { core, ready } = this.around
    try {
      const patience = this.patience(chunk[0]!.deadline)
      const wait = ready()
      if (wait) await within(core.link.clock, wait, { ms: patience.leftMs(), late: notReached })
      const rest: string[] = []
      for (const job of chunk) rest.push(job.id, job.options, job.body)
      const reply = await lane.call(scripts.enqueue, this.keys, {}, rest, patience)
      core.link.heard(reply.at)
      chunk.forEach((job, i) => {
        job.stored({ enqueued: reply.words[i] === "s", at: reply.at })
      })
    } catch (error) {
      const failure = dispatchError(error, chunk.length)
      const reason = core.link.closed && failure instanceof ConnectionError ? closedError() : failure
      for (const job of chunk) job.refused(reason)
    } finally {
      this.free.push(lane)
      this.around.backlog.remove(chunk)
      if (this.queue.length > 0) this.flush()
    }
  }

  private patience(deadline: number) {
    const { clock } = this.around.core.link
    const leftMs = () => deadline - clock.monotonic()
    return { leftMs, ended: () => leftMs() <= 0 }
  }
}

function notReached(): never {
  throw new ConnectionError(`the store could not be reached within ${patienceMs} ms; nothing was stored`)
}

function dispatchError(error: unknown, jobs: number): TaskoraError {
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
