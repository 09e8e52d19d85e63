import { type AppOptions, type ResolvedAppOptions, resolveAppOptions } from "./app-options.ts"
import { Backlog } from "./backlog.ts"
import { endApp } from "./closing.ts"
import { Connection } from "./connection.ts"
import type { ImplementOptions, TaskContract } from "./contract.ts"
import { EventHub } from "./events/hub.ts"
import { Complaints, logFailure } from "./failure-log.ts"
import type { CleanOptions } from "./manage/cleaner.ts"
import type { DeadLetters } from "./manage/dead-letters.ts"
import type { Inspector } from "./manage/inspector.ts"
import { QueueRead } from "./manage/queue-read.ts"
import type { Schedules } from "./manage/schedules.ts"
import { Management } from "./management.ts"
import type { MiddlewareContext } from "./model/context.ts"
import { type Duration, durationMs } from "./model/duration.ts"
import { TaskoraError } from "./model/errors.ts"
import type { AppEventName, AppEvents, EventMeta } from "./model/events.ts"
import { Observers } from "./model/observers.ts"
import { checkNames, invalid } from "./model/options.ts"
import type { Schema, SchemaInput, SchemaOutput } from "./model/standard-schema.ts"
import { Pauser } from "./pauser.ts"
import { Producers } from "./producers.ts"
import { Registry } from "./registry.ts"
import type { AnyTaskOptions, Handler, TaskOptions } from "./rules/definition.ts"
import type { Middleware } from "./rules/middleware.ts"
import type { ScheduleOptions } from "./rules/schedule.ts"
import type { Migrations } from "./rules/versions.ts"
import { Scheduling } from "./scheduling.ts"
import { makeSource, type SourceHost } from "./source.ts"
import type { Core } from "./store/core.ts"
import { closedError, storeFailure } from "./store/failure.ts"
import { Link } from "./store/link.ts"
import type { Task } from "./task.ts"
import type { InputOptions, InputOutputOptions, OutputOptions } from "./task-types.ts"
import { Worker } from "./worker/worker.ts"
import { Workflows } from "./workflow/workflows.ts"

/** Makes an app. Opens no connection yet: `start()`, `listen()` or the first dispatch does. @throws TaskoraError (`INVALID`) */
export function createTaskora(options: AppOptions): Taskora {
  return new Taskora(options)
}

/** Tasks, their workers and their events, on one store. */
export class Taskora {
  /** The schedules of all apps, as they are stored: looks at them, and pauses, changes, triggers or removes them. */
  readonly schedules: Schedules
  /** @internal As they were given, for a twin. */
  readonly given: AppOptions
  private readonly options: ResolvedAppOptions
  private readonly core: Core
  private readonly observers: Observers
  private readonly hub: EventHub
  private readonly worker: Worker
  private readonly connection: Connection
  private readonly management: Management
  private readonly workflows: Workflows
  private readonly producers: Producers
  private readonly scheduling: Scheduling
  /** Jobs that failed for good: lists them, gives them another life, or forgets them. */
  readonly deadLetters: DeadLetters
  private readonly pauser: Pauser
  private readonly backlog = new Backlog()
  private readonly tasks: Registry
  private readonly middleware: Middleware<MiddlewareContext>[] = []
  private readonly source: SourceHost
  private starting: Promise<void> | undefined
  private listening: Promise<void> | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(options: AppOptions) {
    this.given = options
    this.options = resolveAppOptions(options)
    const { adapter, codec, events, payloadBytes } = this.options
    const complaints = new Complaints({ hub: () => this.hub, observers: () => this.observers })
    this.observers = new Observers(this.options.observers, (name, error) =>
      complaints.observerFailed(name, error),
    )
    const link = new Link(adapter, {
      observers: this.observers,
      listeners: {
        lost: (error) => complaints.report(error, "connection"),
        back: () => this.back(),
        message: (channel, text) => this.scheduling.heard(channel, text) || this.worker.heard(channel, text),
      },
    })
    this.core = {
      link,
      observers: this.observers,
      events,
      payloadBytes,
      logFailure: (failure) => logFailure(failure, this.hub),
      report: (error, kind) => complaints.report(error, kind),
      print: (error, kind) => complaints.print(error, kind),
      nodeEnded: (task, id) => this.workflows.nodeEnded(task, id),
      nodesLeft: (task) => this.workflows.leftBehind(task),
    }
    this.hub = new EventHub(this.core, codec)
    const schedules = () => this.scheduling.names
    this.worker = new Worker({ core: this.core, codec, middleware: this.middleware, schedules })
    this.connection = new Connection(this.core)
    const ready = () => this.connection.open()
    const names = () => this.tasks.names
    this.management = new Management(this.core, { codec, ready, registry: () => this.tasks })
    this.deadLetters = this.management.deadLetters
    this.producers = new Producers({
      core: this.core,
      backlog: this.backlog,
      ready: (task) => this.connection.ready(this.hub.reader.joinUnderWay(task)),
      seat: (task) => this.worker.seat(task),
    })
    this.workflows = new Workflows({
      core: this.core,
      codec,
      hub: this.hub,
      ready,
      validateOnDispatch: this.options.validateOnDispatch,
      producer: (task) => this.producers.of(task),
      cancel: (task, id, reason) => this.management.canceller.request(task, id, reason),
    })
    this.pauser = new Pauser(this.core, ready)
    const parts = { worker: this.worker, queue: new QueueRead(this.core, names) }
    this.source = makeSource(this.core, { ...parts, schedules: () => this.scheduling.facts() })
    const task = (name: string) => this.tasks.get(name)
    this.scheduling = new Scheduling(this.core, {
      codec,
      ready,
      task,
      source: this.source,
      worker: this.worker,
    })
    this.schedules = this.scheduling.schedules
    this.observers.source(this.source)
    const { core, hub, backlog, connection, worker, source, workflows, scheduling, pauser } = this
    const { canceller, inspector } = this.management
    this.tasks = new Registry({
      ...{
        core,
        hub,
        backlog,
        connection,
        worker,
        source,
        canceller,
        inspector,
        workflows,
        scheduling,
        pauser,
      },
      producer: (task) => this.producers.of(task),
      options: this.options,
    })
  }

  /**
   * Declares a task. With a handler, this process works on it once it is started; without one it dispatches and listens.
   * @throws TaskoraError (`INVALID`) where the name is taken or an option is wrong
   */
  task<In = unknown, Out = unknown>(name: string, handler?: Handler<In, Out>): Task<In, Awaited<Out>>
  task<I extends Schema, O extends Schema, const M extends Migrations = Migrations>(
    name: string,
    options: InputOutputOptions<I, O, M>,
  ): Task<SchemaInput<I>, SchemaOutput<O>>
  task<I extends Schema, Out, const M extends Migrations = Migrations>(
    name: string,
    options: InputOptions<I, Out, M>,
  ): Task<SchemaInput<I>, Awaited<Out>>
  task<In, O extends Schema>(name: string, options: OutputOptions<In, O>): Task<In, SchemaOutput<O>>
  task<In = unknown, Out = unknown>(name: string, options: TaskOptions<In, Out>): Task<In, Awaited<Out>>
  task(name: string, given: unknown = {}): unknown {
    const options = (typeof given === "function" ? { handler: given } : given) as AnyTaskOptions
    return this.tasks.declare(name, options)
  }

  /**
   * Declares the task of a contract, to dispatch and listen, without a handler. The same contract again gives the same task.
   * @throws TaskoraError (`INVALID`) where the name is taken otherwise
   */
  register<In, Out, Data, Given>(contract: TaskContract<In, Out, Data, Given>): Task<In, Out> {
    return this.tasks.register(contract) as Task<In, Out>
  }

  /**
   * Declares the task of a contract, or takes the one that was registered, and runs it in this process once it is started.
   * Options here come before the contract's.
   * @throws TaskoraError (`INVALID`) where it is implemented already, or an option is wrong
   */
  implement<In, Out, Data, Given>(
    contract: TaskContract<In, Out, Data, Given>,
    handler: Handler<Data, Given>,
    options?: ImplementOptions<Data, Given>,
  ): Task<In, Out>
  implement<In, Out, Data, Given>(
    contract: TaskContract<In, Out, Data, Given>,
    options: ImplementOptions<Data, Given> & { readonly handler: Handler<Data, Given> },
  ): Task<In, Out>
  implement(contract: unknown, handler: unknown, options?: unknown): unknown {
    return this.tasks.implement(contract, handler as Handler, options as AnyTaskOptions)
  }

  /**
   * Declares a schedule: from `start()` on, jobs of its task are dispatched at its slots, by whichever of the processes that
   * declare it is first. One that is in the store unchanged keeps its next run. Give the same to every process.
   * `taskora.schedule("nightly-report", { task: report, cron: "30 2 * * *", timezone: "Europe/Berlin" })`
   * @throws TaskoraError (`INVALID`) where the name is taken or an option is wrong
   */
  schedule<In>(name: string, options: ScheduleOptions<In>): void {
    if (this.closing) throw closedError()
    this.scheduling.add(name, options)
  }

  /** Wraps every handler of this app, in the order of the calls. Before `start()` only. @throws TaskoraError (`INVALID`) */
  use(middleware: Middleware<MiddlewareContext>): this {
    if (typeof middleware !== "function") throw invalid("use: a middleware is a function (ctx, next)")
    if (this.starting) throw invalid("use: middleware can be added before start() only")
    this.middleware.push(middleware)
    return this
  }

  /** Listens to the events of all tasks declared in this app, and of its workers. Returns what takes the listener off. */
  on<K extends AppEventName>(
    event: K,
    listener: AppEvents[K] extends undefined
      ? () => unknown
      : AppEvents[K] extends Error
        ? (error: AppEvents[K]) => unknown
        : (payload: AppEvents[K], meta: EventMeta) => unknown,
  ): () => void {
    return this.hub.app.on(event, listener as never)
  }

  /** Connects, notes where the event streams end, and starts the workers. May be called again after it failed. */
  start(): Promise<void> {
    if (this.closing) return Promise.reject(closedError())
    this.starting ??= this.begin().catch((error: unknown) => {
      this.starting = undefined
      throw this.closing && !(error instanceof TaskoraError) ? closedError() : storeFailure(error)
    })
    return this.starting
  }

  /** Connects and reads events, without workers. */
  listen(): Promise<void> {
    if (this.closing) return Promise.reject(closedError())
    this.listening ??= this.connection
      .open()
      .then(() => this.hub.start())
      .catch((error: unknown) => {
        this.listening = undefined
        throw error
      })
    return this.listening
  }

  /**
   * Stops claiming, waits for handlers up to `timeout` (default 30 s), then aborts them and hands their jobs back; tells
   * the last events, flushes telemetry and closes every connection. Safe at any time, and idempotent.
   */
  close(options: { readonly timeout?: Duration } = {}): Promise<void> {
    checkNames(options, ["timeout"], "close")
    const timeoutMs = durationMs(options.timeout ?? 30_000, "close: timeout")
    this.tasks.close()
    const { core, hub, scheduling, worker, workflows, backlog, connection, starting: began } = this
    const parts = { core, hub, scheduling, worker, workflows, backlog, connection, began }
    this.closing ??= endApp(parts, timeoutMs)
    return this.closing
  }

  /** Looks at queues, jobs and workers without changing them. */
  inspect(): Inspector {
    return this.management.inspector
  }

  /**
   * Forgets jobs that ended, in batches; returns how many.
   * @throws TaskoraError (`INVALID`) for options that are wrong, such as a state in which jobs have not ended
   */
  clean(options: CleanOptions): Promise<number> {
    return this.management.cleaner.clean(options)
  }

  private async begin(): Promise<void> {
    await this.listen()
    await this.scheduling.register()
    await this.worker.start()
    this.workflows.start()
    await this.scheduling.start()
    this.observers.transition({ kind: "worker ready", tasks: this.tasks.handled })
    this.hub.app.emit("worker:ready", undefined)
  }

  private back(): void {
    this.connection.back()
    this.worker.back()
    this.scheduling.back()
  }
}
