import type { Stored } from "./backlog.ts"
import type { Canceller } from "./canceller.ts"
import { rejectReason } from "./dispatch-errors.ts"
import type { Emitter } from "./events/emitter.ts"
import { JobFollower } from "./events/follower.ts"
import type { EventHub } from "./events/hub.ts"
import { type CancelAnswer, type HandleHost, JobHandle } from "./handle.ts"
import type { Inspector } from "./manage/inspector.ts"
import { within } from "./model/clock.ts"
import { type Duration, durationMs } from "./model/duration.ts"
import { PayloadTooLargeError, type TaskoraError } from "./model/errors.ts"
import type { EventMeta, TaskEventName, TaskEvents } from "./model/events.ts"
import { checkJobId, newId } from "./model/names.ts"
import type { Dispatch, JobHeaders, TraceRelation } from "./model/observer.ts"
import { checkNames, invalid, wholeNumber } from "./model/options.ts"
import type { Producer } from "./producer.ts"
import { type Definition, resolveRelation } from "./rules/definition.ts"
import type { Codec } from "./rules/serializer.ts"
import type { Core } from "./store/core.ts"
import { encodeHeaders } from "./store/headers.ts"

export interface DispatchOptions {
  /** How long to wait before the job may run. Default 0. */
  readonly delay?: Duration
  /** 0 to 2^21; higher ones run first, equal ones in order. Default 0. */
  readonly priority?: number
  /** Names the job while its record exists: a second dispatch under the same id stores nothing. */
  readonly jobId?: string
  readonly trace?: { readonly relation?: TraceRelation }
}

/** What a task needs of its app. */
export interface TaskHost {
  readonly core: Core
  readonly codec: Codec
  readonly hub: EventHub
  readonly producer: Producer
  readonly canceller: Canceller
  readonly inspector: Inspector
}

const highestPriority = 2 ** 21
/** Stands for no options at all, the usual case. */
const plainJob: DispatchOptions = Object.freeze({})
const optionNames = ["delay", "priority", "jobId", "trace"]

/** A task of an app: dispatches jobs and tells their events. */
export class Task<In = unknown, Out = unknown> {
  private readonly handles: HandleHost

  /** @internal */
  constructor(
    /** @internal */
    readonly definition: Definition,
    private readonly host: TaskHost,
    private readonly emitter: Emitter<TaskEvents>,
  ) {
    this.handles = handleHost(definition.name, host)
  }

  get name(): string {
    return this.definition.name
  }

  /**
   * Dispatches a job. Returns at once; awaiting the handle tells when it is stored (or could not be).
   * @throws TaskoraError (`INVALID`) for options that are wrong
   */
  dispatch(data: In, options: DispatchOptions = plainJob): JobHandle<Out> {
    const job = this.prepare(options)
    const handle = new JobHandle<Out>(job.id, this.handles)
    const { core } = this.host
    if (core.observers.none) {
      this.store(handle, { data, job, headers: undefined, report: undefined })
      return handle
    }
    const dispatch = this.announce({ ...job, count: 1, many: false })
    const headers = core.observers.dispatching(dispatch)
    const own = Array.isArray(headers) ? headers[0] : headers
    this.store(handle, { data, job, headers: own, report: new DispatchReport(1, dispatch, core) })
    return handle
  }

  /** Dispatches many jobs, in their order: one call for each 500 jobs or 1 MiB. */
  dispatchMany(jobs: readonly { readonly data: In; readonly options?: DispatchOptions }[]): JobHandle<Out>[] {
    if (!Array.isArray(jobs))
      throw invalid(`task "${this.name}": dispatchMany takes a list of { data, options }`)
    const prepared = jobs.map((item) => {
      checkNames(item, ["data", "options"], `task "${this.name}": dispatchMany`)
      return this.prepare(item.options ?? {})
    })
    if (jobs.length === 0) return []
    const dispatch = this.announce({
      ids: prepared.map(({ id }) => id),
      count: jobs.length,
      many: true,
      delayMs: 0,
      priority: 0,
    })
    const headers = this.host.core.observers.dispatching(dispatch)
    const report = new DispatchReport(jobs.length, dispatch, this.host.core)
    return prepared.map((job, i) => {
      const handle = new JobHandle<Out>(job.id, this.handles)
      const own = Array.isArray(headers) ? headers[i] : headers
      this.store(handle, { data: jobs[i]!.data, job, headers: own, report })
      return handle
    })
  }

  /** Listens to this task's events from every process. Returns what takes the listener off. */
  on<K extends TaskEventName>(
    event: K,
    listener: (payload: TaskEvents<Out>[K], meta: EventMeta) => unknown,
  ): () => void {
    return this.emitter.on(event, listener as never)
  }

  private prepare(options: DispatchOptions): PreparedJob {
    if (options === plainJob) return { id: newId(), named: false, delayMs: 0, priority: 0 }
    const what = `task "${this.name}": dispatch`
    checkNames(options, optionNames, what)
    const { delay, priority = 0, jobId, trace } = options
    const relation = resolveRelation(trace, what)
    return {
      id: jobId === undefined ? newId() : checkJobId(jobId),
      named: jobId !== undefined,
      delayMs: delay === undefined ? 0 : durationMs(delay, `${what}: delay`),
      priority: priority === 0 ? 0 : wholeNumber(priority, `${what}: priority`, 0, highestPriority),
      ...(relation === undefined ? {} : { relation }),
    }
  }

  private announce(facts: Omit<Dispatch, "task">): Dispatch {
    const { id, ids, count, many, delayMs, priority, relation } = facts
    return {
      task: this.name,
      count,
      many,
      delayMs,
      priority,
      ...(id === undefined ? {} : { id }),
      ...(ids === undefined ? {} : { ids }),
      ...(relation === undefined ? {} : { relation }),
    }
  }

  private store(handle: JobHandle, item: Item): void {
    const { job, report } = item
    let text: string
    let bytes: number
    try {
      text = this.host.codec.encode(item.data, `data of a job of task "${this.name}"`)
      bytes = this.measured(text)
    } catch (error) {
      report?.rejected(error as TaskoraError)
      handle.reject(error as TaskoraError)
      return
    }
    const { named, delayMs, priority } = job
    this.host.producer.add({
      id: job.id,
      options: named || delayMs > 0 || priority > 0 ? `${delayMs},${priority},${named ? 1 : 0}` : "",
      body: `${encodeHeaders(item.headers, job.relation)}\n${text}`,
      bytes,
      deadline: this.host.producer.deadline(),
      stored(stored) {
        handle.resolve(stored)
        report?.stored(stored, bytes)
      },
      refused(error) {
        handle.reject(error)
        report?.rejected(error)
      },
    })
  }

  /** The data's bytes. @throws PayloadTooLargeError */
  private measured(text: string): number {
    const limit = this.host.core.payloadBytes
    const bytes = Buffer.byteLength(text)
    if (bytes <= limit) return bytes
    throw new PayloadTooLargeError(
      `data of a job of task "${this.name}" takes ${bytes} bytes; at most ${limit} are allowed (limits.payloadBytes)`,
      bytes,
      limit,
    )
  }
}

/** What options come to. */
interface PreparedJob {
  readonly id: string
  readonly named: boolean
  readonly delayMs: number
  readonly priority: number
  readonly relation?: TraceRelation
}

interface Item {
  readonly data: unknown
  readonly job: PreparedJob
  readonly headers: JobHeaders | undefined
  /** Absent where nobody is to be told. */
  readonly report: DispatchReport | undefined
}

/** Gathers what became of one dispatch's jobs, and tells the observers once. */
class DispatchReport {
  private left: number
  private storedJobs = 0
  private duplicates = 0
  private readonly bytes: number[] = []
  private readonly refusals = new Map<TaskoraError, number>()

  constructor(
    count: number,
    private readonly dispatch: Dispatch,
    private readonly core: Core,
  ) {
    this.left = count
  }

  stored({ enqueued }: Stored, bytes: number): void {
    if (enqueued) {
      this.storedJobs++
      this.bytes.push(bytes)
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
    if (this.storedJobs + this.duplicates === 0) return
    const { dispatch, storedJobs: stored, duplicates, bytes: payloadBytes } = this
    observers.transition({ kind: "dispatched", dispatch, stored, duplicates, payloadBytes })
  }
}

function handleHost(task: string, host: TaskHost): HandleHost {
  const { core, hub, codec, canceller, inspector } = host
  return {
    follower: (handle) =>
      new JobFollower({ task, id: handle.id, stored: () => handle.storedAt() }, { core, hub, codec }),
    cancel: async (id, reason): Promise<CancelAnswer> => canceller.cancel(task, id, reason),
    getJob: (id) => inspector.fetch(task, id),
    inTime: (promise, ms, late) =>
      within(core.link.clock, promise, {
        ms,
        late: () => {
          throw late()
        },
      }),
    unheard: (error) => core.report(error, "dispatch"),
  }
}
