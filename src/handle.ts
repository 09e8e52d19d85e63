import type { Stored } from "./backlog.ts"
import type { JobFollower } from "./events/follower.ts"
import type { JobInfo } from "./manage/job-info.ts"
import { type Deferred, deferred } from "./model/deferred.ts"
import { type Duration, durationMs } from "./model/duration.ts"
import { TaskoraError, TimeoutError } from "./model/errors.ts"
import type { EventMeta, Progress, TaskEventName, TaskEvents } from "./model/events.ts"
import { checkNames } from "./model/options.ts"
import type { JobState } from "./model/states.ts"

export type CancelAnswer = "cancelled" | "requested" | "finished"

/** What the handles of one task need of the app. */
export interface HandleHost {
  follower(handle: JobHandle): JobFollower
  cancel(id: string, reason: string | undefined): Promise<CancelAnswer>
  getJob(id: string): Promise<JobInfo | undefined>
  inTime<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T>
  /** A dispatch that failed and that nobody awaited. */
  unheard(error: TaskoraError): void
}

/**
 * A job that was dispatched. Awaiting the handle gives the job's id once it is stored, and rejects if it could not be;
 * `handle.result` is what the handler returned.
 */
export class JobHandle<R = unknown, In = unknown> implements PromiseLike<string> {
  /** For the compiler alone. */
  declare readonly "~types"?: { readonly input: In; readonly output: R }
  private outcome: Stored | TaskoraError | undefined
  private waiting: Deferred<Stored> | undefined
  private waiter: JobFollower | undefined
  private teller: JobFollower | undefined
  private asked = false

  /** @internal */
  constructor(
    readonly id: string,
    private readonly host: HandleHost,
  ) {}

  /** False where a job with this id existed already, and nothing was stored. Known once the handle has been awaited. */
  get enqueued(): boolean | undefined {
    return this.outcome instanceof TaskoraError ? undefined : this.outcome?.enqueued
  }

  /** The job that was there already, where `enqueued` is false. */
  get existingId(): string | undefined {
    return this.enqueued === false ? this.id : undefined
  }

  /** Rejects with JobFailedError, CancelledError, ExpiredError or JobGoneError where there is no result. */
  get result(): Promise<R> {
    this.asked = true
    this.waiter ??= this.host.follower(this as JobHandle)
    return this.waiter.result() as Promise<R>
  }

  /** As `result`, but at most this long. @throws TimeoutError after that; the job goes on */
  waitFor(timeout: Duration): Promise<R> {
    const ms = durationMs(timeout, "waitFor")
    return this.host.inTime(
      this.result,
      ms,
      () => new TimeoutError(`job ${this.id} did not end within ${ms} ms; it goes on`),
    )
  }

  /** Resolves to what became of it: cancelled now, asked of the worker that runs it, or too late. */
  async cancel(options: { readonly reason?: string } = {}): Promise<CancelAnswer> {
    checkNames(options, ["reason"], "cancel")
    await this
    return this.host.cancel(this.id, options.reason)
  }

  /** This job's events only, from its dispatch on. Returns what takes the listener off. */
  on<K extends TaskEventName>(
    event: K,
    listener: (payload: TaskEvents<R>[K], meta: EventMeta) => unknown,
  ): () => void {
    // A listener that comes later needs a look at the past of its own.
    if (!this.teller?.takesListeners) this.teller = this.host.follower(this as JobHandle)
    return this.teller.on(event, listener as never)
  }

  /** Undefined where the job is unknown or its record has been trimmed. */
  async getState(): Promise<JobState | undefined> {
    return (await this.getJob())?.state
  }

  async getProgress(): Promise<Progress | undefined> {
    return (await this.getJob())?.progress
  }

  async getLogs(): Promise<JobInfo["logs"]> {
    return (await this.getJob())?.logs ?? []
  }

  async getJob(): Promise<JobInfo | undefined> {
    await this
    return this.host.getJob(this.id)
  }

  // biome-ignore lint/suspicious/noThenProperty: a handle is awaited for its id; that is its contract
  then<A = string, B = never>(
    stored?: ((id: string) => A | PromiseLike<A>) | null,
    refused?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.asked = true
    return this.stored().then(() => (stored ? stored(this.id) : (this.id as A)), refused)
  }

  /** @internal When the job was stored, server time. */
  storedAt(): Promise<number> {
    return this.stored().then(({ at }) => at)
  }

  /** @internal */
  resolve(stored: Stored): void {
    this.outcome = stored
    this.waiting?.resolve(stored)
  }

  /** @internal */
  reject(error: TaskoraError): void {
    this.outcome = error
    this.waiting?.reject(error)
    // Whoever awaits does so in the turn of the dispatch, or soon after; the error of a job that nobody asked about must not vanish.
    setImmediate(() => {
      if (!this.asked) this.host.unheard(error)
    })
  }

  /** Made when first asked for: thousands may be dispatched whose handles nobody looks at. */
  private stored(): Promise<Stored> {
    if (!this.waiting) {
      this.waiting = deferred()
      if (this.outcome instanceof TaskoraError) this.waiting.reject(this.outcome)
      else if (this.outcome) this.waiting.resolve(this.outcome)
    }
    return this.waiting.promise
  }
}
