import { Admission } from "./admission.ts"
import type { Backlog, Pending } from "./backlog.ts"
import type { Canceller } from "./canceller.ts"
import { type DispatchOptions, type PreparedJob, plainJob, prepareJob } from "./dispatch-options.ts"
import { DispatchReport } from "./dispatch-report.ts"
import type { Emitter } from "./events/emitter.ts"
import { JobFollower } from "./events/follower.ts"
import type { EventHub } from "./events/hub.ts"
import { type Gate, refusal } from "./gates.ts"
import { type CancelAnswer, type HandleHost, JobHandle } from "./handle.ts"
import type { Inspector } from "./manage/inspector.ts"
import { within } from "./model/clock.ts"
import { show } from "./model/duration.ts"
import { PayloadTooLargeError, type TaskoraError } from "./model/errors.ts"
import type { EventMeta, TaskEventName, TaskEvents } from "./model/events.ts"
import type { Dispatch, JobHeaders } from "./model/observer.ts"
import { checkNames, invalid, wholeNumber } from "./model/options.ts"
import type { Pauser } from "./pauser.ts"
import type { Producer } from "./producer.ts"
import type { Definition } from "./rules/definition.ts"
import type { Codec } from "./rules/serializer.ts"
import type { Core } from "./store/core.ts"
import { encodeHeaders } from "./store/headers.ts"
import { Composition, type Dispatcher, type Form, groupOf, type NodeOptions } from "./workflow/composition.ts"

/** What a task needs of its app. */
export interface TaskHost {
  readonly core: Core
  readonly codec: Codec
  readonly hub: EventHub
  readonly producer: Producer
  readonly backlog: Backlog
  /** Whether data is validated as it is dispatched. */
  readonly validateOnDispatch: boolean
  readonly canceller: Canceller
  readonly pauser: Pauser
  readonly inspector: Inspector
  /** Dispatches what this task's jobs are built into. */
  readonly workflows: Dispatcher
}

/** A task of an app: dispatches jobs and tells their events. */
export class Task<In = unknown, Out = unknown> {
  /** For the compiler alone. */
  declare readonly "~types"?: { readonly input: In; readonly output: Out }
  private readonly handles: HandleHost
  private readonly admission: Admission

  /** @internal */
  constructor(
    /** @internal Another one where a registered contract is implemented. */
    public definition: Definition,
    private readonly host: TaskHost,
    private readonly emitter: Emitter<TaskEvents>,
  ) {
    this.handles = handleHost(definition.name, host)
    this.admission = new Admission(definition.name, host)
  }

  get name(): string {
    return this.definition.name
  }

  /**
   * Dispatches a job. Returns at once; awaiting the handle tells when it is stored (or could not be).
   * @throws TaskoraError (`INVALID`) for options that are wrong
   */
  dispatch(data: In, options: DispatchOptions = plainJob): JobHandle<Out, In> {
    const job = this.prepare(options, data)
    const handle = new JobHandle<Out, In>(job.id, this.handles)
    const { core } = this.host
    if (core.observers.none) {
      this.store(handle, { data, job, headers: undefined, report: undefined })
      return handle
    }
    const dispatch = this.announce({ ...job, count: 1, many: false }, job.gate)
    const headers = core.observers.dispatching(dispatch)
    const own = Array.isArray(headers) ? headers[0] : headers
    this.store(handle, { data, job, headers: own, report: new DispatchReport(1, dispatch, core) })
    return handle
  }

  /** Dispatches many jobs, in their order: one call for each 500 jobs or 1 MiB. */
  dispatchMany(
    jobs: readonly { readonly data: In; readonly options?: DispatchOptions }[],
  ): JobHandle<Out, In>[] {
    if (!Array.isArray(jobs))
      throw invalid(`task "${this.name}": dispatchMany takes a list of { data, options }`)
    const prepared = jobs.map((item) => {
      checkNames(item, ["data", "options"], `task "${this.name}": dispatchMany`)
      return this.prepare(item.options ?? {}, item.data, { count: jobs.length, many: true })
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
      const handle = new JobHandle<Out, In>(job.id, this.handles)
      const own = Array.isArray(headers) ? headers[i] : headers
      this.store(handle, { data: jobs[i]!.data, job, headers: own, report })
      return handle
    })
  }

  /**
   * One job of this task as a part of a workflow: with data of its own, or, without any, taking what stands before it.
   * @throws TaskoraError (`INVALID`) for options that are wrong
   */
  s(): Composition<In, Out>
  s(data: In, options?: NodeOptions): Composition<unknown, Out>
  s(...given: [data?: In, options?: NodeOptions]): Composition<never, Out> {
    const how = given[1] ?? {}
    checkNames(how, ["delay", "priority"], `task "${this.name}": s()`)
    const form = { kind: "job", task: this, data: given[0], bound: given.length > 0, how } as const
    return new Composition<never, Out>(form, this.host.workflows)
  }

  /** A job for each item, side by side; gives the list of their results. */
  map(items: readonly In[]): Composition<unknown, Out[]> {
    const what = `task "${this.name}": map`
    return groupOf<Out>(
      listOf(items, what).map((data) => this.bound(data as In)),
      this.host.workflows,
    )
  }

  /** For a task that takes lists: the items in lists of at most `size`, a job for each. @throws TaskoraError (`INVALID`) */
  chunk<Item>(
    this: Task<Item[], Out> | Task<readonly Item[], Out>,
    items: readonly Item[],
    options: { readonly size: number },
  ): Composition<unknown, Out[]> {
    const own = this as unknown as Task<unknown, Out>
    const what = `task "${own.name}": chunk`
    checkNames(options, ["size"], what)
    const size = wholeNumber(options.size, `${what}: size`, 1)
    const all = listOf(items, what)
    const forms: Form[] = []
    for (let i = 0; i < all.length; i += size) forms.push(own.bound(all.slice(i, i + size)))
    return groupOf<Out>(forms, own.host.workflows)
  }

  private bound(data: In): Form {
    return { kind: "job", task: this, data, bound: true, how: {} }
  }

  /** Listens to this task's events from every process. Returns what takes the listener off. */
  on<K extends TaskEventName>(
    event: K,
    listener: (payload: TaskEvents<Out>[K], meta: EventMeta) => unknown,
  ): () => void {
    return this.emitter.on(event, listener as never)
  }

  /**
   * Lets no further job of this task begin, in any process, until `resume()`; what is active goes on, and so does everything
   * else: dispatching, delays, expiry. Resolves when the store has confirmed it.
   * @throws ConnectionError, UnconfirmedError, PermissionError or TaskoraError (`STORE`)
   */
  pause(): Promise<void> {
    return this.host.pauser.set(this.name, true)
  }

  /** Ends a pause; does nothing where there is none. @throws as `pause()` */
  resume(): Promise<void> {
    return this.host.pauser.set(this.name, false)
  }

  private prepare(options: DispatchOptions, data: In, call = { count: 1, many: false }): PreparedJob {
    try {
      return prepareJob(options, this.definition, { core: this.host.core, data })
    } catch (error) {
      const { observers } = this.host.core
      const dispatch = this.announce({ ...call, delayMs: 0, priority: 0 })
      const { count } = call
      observers.transition({
        kind: "rejected",
        dispatch,
        count,
        reason: "invalid",
        error: error as TaskoraError,
      })
      throw error
    }
  }

  private announce(facts: Omit<Dispatch, "task" | "gate">, gate?: Gate): Dispatch {
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
      ...(gate && { gate: gate.kind }),
    }
  }

  private store(handle: JobHandle, item: Item): void {
    const { job, report } = item
    const task = this.name
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
    const pending: Pending = {
      id: job.id,
      options: job.options,
      body: `${encodeHeaders(item.headers, job.relation)}\n${text}`,
      bytes,
      deadline: this.host.producer.deadline(),
      stored(stored) {
        if (stored.enqueued) handle.resolve(stored)
        else handle.refuse(stored, refusal(task, job.gate, stored)!, job.throwOnReject)
        report?.stored(stored, bytes)
      },
      refused(error) {
        handle.reject(error)
        report?.rejected(error)
      },
    }
    const schema = this.definition.checks?.input
    if (schema) this.admission.admit(pending, job.skipValidation ? undefined : schema, item.data)
    else this.host.producer.add(pending)
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

interface Item {
  readonly data: unknown
  readonly job: PreparedJob
  readonly headers: JobHeaders | undefined
  /** Absent where nobody is to be told. */
  readonly report: DispatchReport | undefined
}

function listOf<T>(items: readonly T[], what: string): readonly T[] {
  if (Array.isArray(items)) return items
  throw invalid(`${what} takes a list of items, not ${show(items)}`)
}

function handleHost(task: string, host: TaskHost): HandleHost {
  const { core, hub, codec, canceller, inspector } = host
  return {
    follower: (handle) =>
      new JobFollower({ task, id: handle.id, stored: () => handle.toFollow() }, { core, hub, codec }),
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
