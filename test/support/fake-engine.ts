import type {
  Attempt,
  Dispatch,
  JobHeaders,
  Observer,
  Source,
  TaskFacts,
  TraceRelation,
  Transition,
} from "../../src/model/observer.ts"

interface JobOptions {
  task?: string
  id?: string
  delayMs?: number
  relation?: TraceRelation
  maxAttempts?: number
}

/** A job as the store would keep it: what of it the engine hands to observers. */
export interface FakeJob {
  readonly task: string
  readonly id: string
  readonly headers: JobHeaders
  readonly createdAt: number
  readonly delayMs: number
  readonly relation: TraceRelation | undefined
  readonly maxAttempts: number
  eligibleAt: number
  attempts: number
  previousRun?: string
  previousEndedAt?: number
}

/** Calls an observer as the engine does, with a server clock that the test turns. */
export class FakeEngine {
  readonly observer: Observer
  readonly source: Source
  now = 1_700_000_000_000
  #ids = 0

  constructor(observer: Observer, source: Partial<Source> = {}) {
    this.observer = observer
    this.source = { ...fakeSource([{ name: "mail", handled: true, timeoutMs: 30_000 }]), ...source }
    observer.source?.(this.source)
  }

  tell(transition: Transition) {
    this.observer.transition?.(transition)
  }

  dispatch(options: JobOptions = {}): FakeJob {
    const dispatch = this.begin(1, options)
    const headers = (this.observer.dispatching?.(dispatch) ?? {}) as JobHeaders
    this.tell({ kind: "dispatched", dispatch, stored: 1, duplicates: 0, payloadBytes: [17] })
    return this.job(dispatch.id!, headers, options)
  }

  dispatchMany(count: number, options: JobOptions = {}): FakeJob[] {
    const ids = Array.from({ length: count }, (_, index) => `job-${index}`)
    const dispatch: Dispatch = { ...this.begin(count, options), many: true, ids }
    const headers = this.observer.dispatching?.(dispatch) ?? {}
    // Answered in two parts, as chunks are.
    const first = Math.ceil(count / 2)
    for (const stored of [first, count - first])
      this.tell({ kind: "dispatched", dispatch, stored, duplicates: 0, payloadBytes: Array(stored).fill(17) })
    const each = (index: number) => (Array.isArray(headers) ? headers[index] : headers) as JobHeaders
    return ids.map((id, index) => this.job(id, each(index), options))
  }

  begin(count: number, { task = "mail", id, delayMs = 0, relation }: JobOptions = {}): Dispatch {
    const only = count === 1 ? { id: id ?? `job-${++this.#ids}` } : {}
    return { task, ...only, count, many: false, delayMs, priority: 0, ...(relation && { relation }) }
  }

  job(
    id: string,
    headers: JobHeaders,
    { task = "mail", delayMs = 0, relation, maxAttempts = 1 }: JobOptions = {},
  ): FakeJob {
    const eligibleAt = this.now + delayMs
    return { task, id, headers, createdAt: this.now, delayMs, relation, maxAttempts, eligibleAt, attempts: 0 }
  }

  /** Claims the job once it is eligible. */
  claim(job: FakeJob): Attempt {
    this.now = Math.max(this.now, job.eligibleAt)
    job.attempts++
    return {
      task: job.task,
      id: job.id,
      attempt: job.attempts,
      maxAttempts: job.maxAttempts,
      priority: 0,
      createdAt: job.createdAt,
      eligibleAt: job.eligibleAt,
      claimedAt: this.now,
      lifeStart: job.createdAt + job.delayMs,
      delayMs: job.delayMs,
      waitMs: this.now - job.eligibleAt,
      payloadBytes: 17,
      headers: job.headers,
      ...(job.previousRun !== undefined && { previousRun: job.previousRun }),
      ...(job.previousEndedAt !== undefined && { previousEndedAt: job.previousEndedAt }),
      ...(job.relation && { relation: job.relation }),
      worker: this.source.instance,
    }
  }

  /** Runs the user's part of an attempt and tells of `active`, as the worker does. */
  run<T>(attempt: Attempt, handler: () => T): T {
    const call = () => {
      this.tell({ kind: "active", attempt })
      return handler()
    }
    return this.observer.attempt ? this.observer.attempt(attempt, call) : call()
  }

  completed(attempt: Attempt, durationMs = 0) {
    this.tell({ kind: "completed", attempt, durationMs, resultBytes: 2, totalMs: 5 })
  }

  /** The attempt fails; the job is eligible again after `delayMs`, or not at all where that is absent. */
  failed(job: FakeJob, attempt: Attempt, error: Error, delayMs?: number) {
    const failure = {
      kind: "failed",
      attempt,
      durationMs: 0,
      cause: "error",
      errorType: error.name,
      error,
    } as const
    job.previousEndedAt = this.now
    this.ended(job, attempt)
    if (delayMs === undefined) return this.tell({ ...failure, willRetry: false, totalMs: 5 })
    job.eligibleAt = this.now + delayMs
    this.tell({ ...failure, willRetry: true, delayMs })
    this.tell({ kind: "retrying", attempt, nextAttempt: attempt.attempt + 1, delayMs })
  }

  /** Stores where the run was, as a settlement or a renewal does. */
  ended(job: FakeJob, { trace }: Attempt) {
    if (trace) job.previousRun = `00-${trace.traceId}-${trace.spanId}-0${trace.sampled ? 1 : 0}`
  }
}

function fakeSource(tasks: readonly TaskFacts[]): Source {
  return {
    instance: "instance-1",
    version: "0.0.0-test",
    adapter: "redis",
    prefix: "",
    clock: { now: () => 0, monotonic: () => performance.now() },
    server: () => ({ address: "redis.test", port: 6379 }),
    tasks: () => tasks,
    onTask: (listener) => {
      for (const task of tasks) listener(task)
    },
    schedules: () => [],
    onSchedule: () => {},
    slots: () => [],
    connected: () => true,
    ready: () => true,
    queue: async () => undefined,
  }
}
