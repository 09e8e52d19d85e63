import type { ResolvedAppOptions } from "./app-options.ts"
import type { Connection } from "./connection.ts"
import type { TaskContract } from "./contract.ts"
import { show } from "./model/duration.ts"
import { checkTaskName } from "./model/names.ts"
import { invalid } from "./model/options.ts"
import type { Producer } from "./producer.ts"
import { type AnyTaskOptions, type Definition, define, type Handler } from "./rules/definition.ts"
import type { Scheduling } from "./scheduling.ts"
import type { SourceHost } from "./source.ts"
import { closedError } from "./store/failure.ts"
import { Task, type TaskHost } from "./task.ts"
import type { Worker } from "./worker/worker.ts"

/** What a registry needs of its app. */
export interface RegistryHost extends Omit<TaskHost, "producer" | "codec" | "validateOnDispatch"> {
  readonly options: ResolvedAppOptions
  readonly connection: Connection
  readonly worker: Worker
  readonly source: SourceHost
  /** One for each task: its lanes are the process's. */
  readonly producer: (task: string) => Producer
  readonly scheduling: Scheduling
}

/** The tasks of an app: those declared by name, and those of contracts. */
export class Registry {
  private readonly tasks = new Map<string, Task>()
  private readonly contracts = new Map<string, TaskContract>()
  private closed = false

  constructor(private readonly host: RegistryHost) {}

  get names(): string[] {
    return [...this.tasks.keys()]
  }

  /** Names of those that this process runs. */
  get handled(): string[] {
    return [...this.tasks.values()].filter(({ definition }) => definition.handler).map(({ name }) => name)
  }

  get(name: string): Task | undefined {
    return this.tasks.get(name)
  }

  /** Nothing can be declared any more. */
  close(): void {
    this.closed = true
  }

  /** @throws TaskoraError (`INVALID`) where the name is taken or an option is wrong */
  declare(name: string, options: AnyTaskOptions): Task {
    checkTaskName(name)
    const task = this.add(name, options)
    if (task.definition.handler) this.run(task.definition)
    return task
  }

  /** The same contract again gives the same task. @throws TaskoraError (`INVALID`) where the name is taken otherwise */
  register(given: unknown): Task {
    const contract = checkContract(given, "register")
    const { name, options } = contract
    const known = this.contracts.get(name)
    if (known === contract) return this.tasks.get(name)!
    if (known)
      throw invalid(
        `register: task "${name}" has another contract in this app already; share one, or give it another name`,
      )
    const task = this.add(name, options)
    this.contracts.set(name, contract)
    return task
  }

  /** @throws TaskoraError (`INVALID`) where it is implemented already, or an option is wrong */
  implement(given: unknown, handler: Handler | AnyTaskOptions, more: AnyTaskOptions = {}): Task {
    const contract = checkContract(given, "implement")
    const what = `implement: task "${contract.name}"`
    if (this.tasks.get(contract.name)?.definition.handler)
      throw invalid(`${what} is implemented already; a task has one handler in an app`)
    const own = typeof handler === "function" ? { ...more, handler } : handler
    for (const name of ["input", "output", "version"] as const)
      if (own?.[name] !== undefined)
        throw invalid(`${what}: ${name} belongs into the contract, which those who dispatch follow too`)
    const definition = this.resolve(contract.name, { ...contract.options, ...own })
    if (!definition.handler) throw invalid(`${what}: a handler is missing`)
    checkVersion(definition, contract)
    if (this.closed) throw closedError()
    const { connection, source, scheduling } = this.host
    const scheduled = scheduling.inTask(definition)
    const task = this.register(contract)
    task.definition = definition
    connection.declare(definition.name, definition.info)
    source.declared(definition)
    if (scheduled) scheduling.declare(definition.name, scheduled)
    this.run(definition)
    return task
  }

  /** Declares all that another registry has, as it stands there. */
  adopt(other: Registry): void {
    for (const { definition } of other.tasks.values()) {
      this.place(definition)
      if (definition.handler) this.run(definition)
    }
    for (const [name, contract] of other.contracts) this.contracts.set(name, contract)
  }

  private add(name: string, options: AnyTaskOptions): Task {
    if (this.tasks.has(name))
      throw invalid(`task "${name}" is declared already; keep what taskora.task() returned`)
    if (this.closed) throw closedError()
    return this.place(this.resolve(name, options))
  }

  private place(definition: Definition): Task {
    const { name } = definition
    const { hub, connection, source, scheduling } = this.host
    const scheduled = scheduling.inTask(definition)
    connection.declare(name, definition.info)
    const { codec, validateOnDispatch } = this.host.options
    const host = { ...this.host, producer: this.host.producer(name), codec, validateOnDispatch }
    const task = new Task(definition, host, hub.declare(name))
    this.tasks.set(name, task)
    source.declared(definition)
    if (scheduled) scheduling.declare(name, scheduled)
    return task
  }

  private resolve(name: string, options: AnyTaskOptions): Definition {
    const { defaults, retention } = this.host.options
    return define(name, options, defaults, retention)
  }

  private run(definition: Definition): void {
    const { core, worker } = this.host
    worker.add(definition).catch((error: unknown) => core.report(error, "script"))
  }
}

function checkContract(given: unknown, what: string): TaskContract {
  const { name, options } = (given ?? {}) as Partial<TaskContract>
  if (typeof name === "string" && typeof options === "object") return given as TaskContract
  throw invalid(`${what}: ${show(given)} is no contract; make one with defineTask() or staticContract()`)
}

/** Those who dispatch by the contract know nothing of the migrations of those who run it. */
function checkVersion({ name, version }: Definition, contract: TaskContract): void {
  const { version: dispatched = 1 } = contract.options
  if (version === dispatched) return
  throw invalid(
    `implement: task "${name}": its migrations make version ${version}, but those who dispatch by its contract say ${dispatched}; write version: ${version} into the contract`,
  )
}
