import { measure } from "../../exporters/measure/measure.ts"
import { createTaskora, type Taskora } from "../app.ts"
import { type AppOptions, resolveAppOptions } from "../app-options.ts"
import type { DispatchOptions } from "../dispatch-options.ts"
import type { JobHandle } from "../handle.ts"
import type { Inspector, JobPage } from "../manage/inspector.ts"
import type { JobInfo } from "../manage/job-info.ts"
import { systemClock } from "../model/clock.ts"
import { type Duration, durationMs, show } from "../model/duration.ts"
import { TaskoraError } from "../model/errors.ts"
import { appEventNames, type EventMeta, type Progress } from "../model/events.ts"
import type { Observer, Source } from "../model/observer.ts"
import { checkNames, invalid } from "../model/options.ts"
import { memoryAdapter } from "../store/embedded/adapter.ts"
import type { Task } from "../task.ts"
import { furnish, innards, optionsOf, standIn } from "../twin.ts"
import { runInline } from "./inline.ts"
import { RecordedMetrics } from "./metrics.ts"
import { Runs } from "./runs.ts"
import { type RecordedSpan, SpanRecorder } from "./spans.ts"
import { Time } from "./time.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { Calls, watched } from "./watched-adapter.ts"

export interface TestRunnerOptions {
  /** The app whose tasks are to be run. Default: a new one, `runner.app`, on which the test declares its own. */
  readonly from?: Taskora
  /** Where virtual time begins, ms since the epoch. Default: now. */
  readonly now?: number
  /** How long in real time a handler is waited for that does not end, before virtual time goes on. Default 1 s. */
  readonly patience?: Duration
}

/** An event as listeners of the app got it. */
export interface RecordedEvent {
  /** `task:completed`, `workflow:failed` ... */
  readonly name: string
  readonly payload: { readonly id?: string; readonly task?: string; readonly [field: string]: unknown }
  readonly meta: EventMeta
}

/** All that became of one job. */
export interface Execution<Out = unknown> {
  /** Undefined where there is none. */
  readonly result: Out | undefined
  readonly state: JobInfo["state"] | undefined
  /** Runs that began, in this life of the job. */
  readonly attempts: number
  readonly logs: JobInfo["logs"]
  readonly progress: Progress | undefined
  /** What awaiting the result rejected with: JobFailedError (its `cause` is the handler's error), CancelledError, ExpiredError ... */
  readonly error: Error | undefined
  /** The job's own. */
  readonly events: readonly RecordedEvent[]
  readonly handle: JobHandle<Out>
}

type AnyTask<In, Out> = Task<In, Out> | string

/**
 * Runs an app's tasks on the embedded engine in virtual time, by the very scripts that production runs.
 *
 * @throws TaskoraError (`INVALID`) for options that are wrong, and for an app that has been started
 * @example
 * const runner = createTestRunner({ from: taskora })
 * const { result, attempts } = await runner.execute(sendEmail, { to: "a@example.com" })
 * await runner.dispose()
 */
export function createTestRunner(options: TestRunnerOptions = {}): TestRunner {
  checkNames(options, ["from", "now", "patience"], "createTestRunner")
  return new TestRunner(options)
}

const listed = [
  "waiting",
  "parked",
  "delayed",
  "active",
  "completed",
  "failed",
  "cancelled",
  "expired",
] as const

export class TestRunner {
  /** The app under test: the one given as `from`, or one of the runner's own. */
  readonly app: Taskora
  /** Every event so far, in order. */
  readonly events: RecordedEvent[] = []
  /** What was counted. */
  readonly metrics: RecordedMetrics
  private readonly clock: VirtualClock
  private readonly runs: Runs
  private readonly calls = new Calls()
  private readonly recorder = new SpanRecorder()
  private readonly time: Time
  private readonly twin: Taskora
  private readonly giveBack: () => void
  private source: Source | undefined
  private started: Promise<void> | undefined
  private disposed = false

  /** @internal */
  constructor({ from, now, patience = "1s" }: TestRunnerOptions) {
    this.clock = new VirtualClock(now ?? systemClock.now())
    this.runs = new Runs(durationMs(patience, "createTestRunner: patience"))
    const adapter = memoryAdapter({ clock: this.clock })
    this.time = new Time(this.clock, { calls: this.calls, runs: this.runs, noted: (at) => adapter.noted(at) })
    this.metrics = new RecordedMetrics(() => measure(this.source!))
    const given: Partial<AppOptions> = from ? optionsOf(from) : {}
    if (from && innards(from).starting)
      throw invalid("createTestRunner: the app has been started; give one that has not")
    const observers = [this.recorder, this.runs.observer, this.counter()]
    this.twin = createTaskora({ ...given, adapter: watched(adapter, this.calls), observers })
    for (const name of appEventNames)
      if (!name.startsWith("worker:"))
        this.twin.on(name, ((payload: RecordedEvent["payload"], meta: EventMeta) => {
          this.events.push({ name, payload, meta })
        }) as never)
    this.app = from ?? this.twin
    if (from) furnish(this.twin, from)
    this.giveBack = from ? standIn(this.twin, from) : () => undefined
  }

  /** What was traced, in the order in which the spans began. */
  get spans(): readonly RecordedSpan[] {
    return this.recorder.spans
  }

  /** Virtual time, ms since the epoch. */
  get now(): number {
    return this.clock.now()
  }

  /**
   * Runs the handler directly, through codec, schemas and middleware, and again at once where it fails and is retried.
   * Nothing is stored, told or timed. Rejects with what the last attempt threw.
   */
  async run<In, Out>(task: AnyTask<In, Out>, data: In): Promise<Out> {
    const { definition } = this.find(task)
    const { codec, payloadBytes } = resolveAppOptions(optionsOf(this.twin))
    const middleware = [...innards(this.twin).middleware, ...definition.middleware]
    return (await runInline({ definition, middleware, codec, payloadBytes, now: this.now }, data)) as Out
  }

  /** Dispatches a job, as `task.dispatch()` does. */
  dispatch<In, Out>(task: AnyTask<In, Out>, data: In, options?: DispatchOptions): JobHandle<Out> {
    void this.start()
    return this.find(task).dispatch(data, options) as JobHandle<Out>
  }

  /**
   * Takes a job the whole way: dispatches it and lets time go by until it has ended, whatever it waits for.
   * @throws TaskoraError where nothing is left that could end it
   */
  async execute<In, Out>(
    task: AnyTask<In, Out>,
    data: In,
    options?: DispatchOptions,
  ): Promise<Execution<Out>> {
    await this.start()
    const handle = this.dispatch(task, data, options)
    const { id } = handle
    let settled: { readonly result?: Out; readonly error?: Error } | undefined
    handle.result.then(
      (result) => {
        settled = { result }
      },
      (error: Error) => {
        settled = { error }
      },
    )
    if (!(await this.time.until(() => settled !== undefined)))
      throw new TaskoraError(
        `execute: job ${id} is ${(await handle.getState()) ?? "unknown"}, and nothing is due that could end it`,
      )
    const events = this.events.filter(({ payload }) => payload.id === id)
    const job = await handle.getJob()
    const started = events.filter(({ name }) => name === "task:active")
    return {
      result: settled!.result,
      error: settled!.error,
      state: job?.state,
      attempts: job?.attempt ?? started.length,
      logs: job?.logs ?? [],
      progress: job?.progress,
      events,
      handle,
    }
  }

  /** Lets virtual time go by: whatever falls due meanwhile happens at its time, in order, and what follows from it. */
  async advanceTime(duration: Duration): Promise<void> {
    const ms = durationMs(duration, "advanceTime")
    await this.start()
    await this.time.pass(ms)
  }

  /** Does all that can be done now. Time stands. */
  async flush(): Promise<void> {
    await this.start()
    await this.time.rest()
  }

  /**
   * Does all that there is to do, letting time go by until no job waits, is delayed or runs.
   * @throws TaskoraError where that never comes about
   */
  async processAll(): Promise<void> {
    await this.start()
    const left = async () => {
      const { waiting, delayed, active, ...rest } = await this.twin.inspect().stats()
      return waiting + delayed + active + ((rest as { parked?: number }).parked ?? 0)
    }
    if (await this.time.until(async () => (await left()) === 0)) return
    throw new TaskoraError(
      `processAll: ${await left()} jobs are left, and nothing is due that could end them`,
    )
  }

  /** All jobs that are kept, or those of a task, of a state, or both; as `inspect()` shows them. */
  async jobs(filter: { readonly task?: string; readonly state?: JobInfo["state"] } = {}): Promise<JobInfo[]> {
    checkNames(filter, ["task", "state"], "jobs")
    await this.start()
    const inspector = this.twin.inspect() as unknown as Record<string, Inspector["failed"] | undefined>
    const found: JobInfo[] = []
    for (const state of listed) {
      let cursor: string | undefined
      do {
        const options = { limit: 500, ...(filter.task && { task: filter.task }), ...(cursor && { cursor }) }
        const page: JobPage | undefined = await inspector[state]?.call(this.twin.inspect(), options)
        found.push(...(page ?? []))
        cursor = page?.nextCursor
      } while (cursor !== undefined)
    }
    return filter.state === undefined ? found : found.filter(({ state }) => state === filter.state)
  }

  /** Forgets all jobs, whatever their state, and everything recorded. Declared tasks stay, and so does the time. */
  async clear(): Promise<void> {
    await this.start()
    await this.time.rest()
    for (const { id, task } of await this.jobs())
      await innards(this.twin).management.canceller.cancel(task, id, undefined)
    await this.time.rest()
    for (const state of ["completed", "failed", "cancelled", "expired"] as const)
      await this.twin.clean({ state } as never).catch(() => 0)
    await this.time.rest()
    this.events.length = 0
    this.recorder.spans.length = 0
    this.metrics.clear()
  }

  /** Ends the runner, and gives the app back as it was. Idempotent. */
  async dispose(): Promise<void> {
    if (this.disposed) return
    this.disposed = true
    let closed = false
    const closing = this.twin.close({ timeout: 0 }).finally(() => {
      closed = true
    })
    await this.time.until(() => closed)
    await closing
    this.giveBack()
  }

  private start(): Promise<void> {
    if (this.disposed)
      throw new TaskoraError("this test runner has been disposed of; make a new one", "CLOSED")
    this.started ??= this.twin.start()
    return this.started
  }

  private find<In, Out>(task: AnyTask<In, Out>): Task<In, Out> {
    const name = typeof task === "string" ? task : (task as Task | undefined)?.name
    const found = name === undefined ? undefined : innards(this.twin).tasks.get(name)
    if (found) return found as unknown as Task<In, Out>
    throw invalid(`task ${show(name ?? task)} is not declared in the app under test`)
  }

  /** Feeds the numbers. */
  private counter(): Observer {
    const observer: Observer = {
      name: "test runner's metrics",
      source: (source) => {
        this.source = source
        const recorder = measure(source).join(observer)!
        observer.transition = (transition) => recorder.transition(transition)
      },
      transition: () => undefined,
    }
    return observer
  }
}
