import type { Stored } from "./backlog.ts"
import type { JobFollower } from "./events/follower.ts"
import type { JobInfo } from "./manage/job-info.ts"
import { type Deferred, deferred } from "./model/deferred.ts"
import { type Duration, durationMs } from "./model/duration.ts"
import {
  type DuplicateJobError,
  type TaskoraError,
  type ThrottledError,
  TimeoutError,
} from "./model/errors.ts"
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
  private answer: Stored | undefined
  /** Why nothing was stored. */
  private error: TaskoraError | undefined
  /** The error is for those who wait for the result; awaiting the handle gives the id all the same. */
  private lenient = false
  private waiting: Deferred<Stored> | undefined
  private waiter: JobFollower | undefined
  private teller: JobFollower | undefined
  private asked = false

  /** @internal */
  constructor(
    private readonly ownId: string,
    private readonly host: HandleHost,
  ) {}

  /** The job's id; where another job stands for it (`existingId`), that one's, once the handle has been awaited. */
  get id(): string {
    return this.existingId ?? this.ownId
  }

  /** False where nothing was stored: a job exists already, or a throttle refused it. Known once the handle has been awaited. */
  get enqueued(): boolean | undefined {
    return this.answer?.enqueued
  }

  /** The job that was there already, where nothing was stored because of it; the whole handle then speaks of that one. */
  get existingId(): string | undefined {
    return this.answer?.existingId
  }

  /**
   * Rejects with JobFailedError, CancelledError, ExpiredError or JobGoneError where there is no result; with
   * ThrottledError, DuplicateJobError or what the dispatch failed with where nothing was stored.
   */
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

  /** @internal The job to be followed, and when its dispatch was answered, server time. */
  async toFollow(): Promise<{ readonly id: string; readonly at: number }> {
    const { at } = await this.stored()
    if (this.error) throw this.error
    return { id: this.id, at }
  }

  /** @internal */
  resolve(stored: Stored): void {
    this.answer = stored
    this.waiting?.resolve(stored)
  }

  /** @internal Nothing was stored, as the user's options have it. */
  refuse(stored: Stored, error: ThrottledError | DuplicateJobError, thrown = false): void {
    this.answer = stored
    if (thrown) {
      this.reject(error)
      return
    }
    if (stored.existingId === undefined) this.error = error
    this.lenient = true
    this.waiting?.resolve(stored)
  }

  /** @internal */
  reject(error: TaskoraError): void {
    this.error = error
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
      if (this.error && !this.lenient) this.waiting.reject(this.error)
      else if (this.answer) this.waiting.resolve(this.answer)
    }
    return this.waiting.promise
  }
}
