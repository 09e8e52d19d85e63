import type { TaskContract } from "./contract.ts"
import { show } from "./model/duration.ts"
import { invalid } from "./model/options.ts"
import type { AnyTaskOptions, Definition, Handler } from "./rules/definition.ts"
import type { Task } from "./task.ts"

/** What an app does with contracts, as far as it concerns nothing else. */
export class Contracts {
  private readonly known = new Map<string, { readonly contract: TaskContract; readonly task: Task }>()

  constructor(
    private readonly app: {
      /** Declares a task. @throws TaskoraError (`INVALID`) where the name is taken */
      declare(name: string, options: AnyTaskOptions): Task
      resolve(name: string, options: AnyTaskOptions): Definition
      /** Gives a declared task its handler. */
      handle(task: Task, definition: Definition): void
    },
  ) {}

  register(given: unknown): Task {
    const contract = checkContract(given, "register")
    const known = this.known.get(contract.name)
    if (known?.contract === contract) return known.task
    if (known)
      throw invalid(
        `register: task "${contract.name}" has another contract in this app already; share one, or give it another name`,
      )
    const task = this.app.declare(contract.name, contract.options)
    this.known.set(contract.name, { contract, task })
    return task
  }

  implement(given: unknown, handler: Handler | AnyTaskOptions, more: AnyTaskOptions = {}): Task {
    const contract = checkContract(given, "implement")
    const what = `implement: task "${contract.name}"`
    if (this.known.get(contract.name)?.task.definition.handler)
      throw invalid(`${what} is implemented already; a task has one handler in an app`)
    const own = typeof handler === "function" ? { ...more, handler } : handler
    for (const name of ["input", "output", "version"] as const)
      if (own?.[name] !== undefined)
        throw invalid(`${what}: ${name} belongs into the contract, which those who dispatch follow too`)
    const definition = this.app.resolve(contract.name, { ...contract.options, ...own })
    if (!definition.handler) throw invalid(`${what}: a handler is missing`)
    const { version = 1 } = contract.options
    if (definition.version !== version)
      throw invalid(
        `${what}: its migrations make version ${definition.version}, but those who dispatch by the contract say ${version}; write version: ${definition.version} into the contract`,
      )
    const task = this.register(contract)
    this.app.handle(task, definition)
    return task
  }
}

function checkContract(given: unknown, what: string): TaskContract {
  const { name, options } = (given ?? {}) as Partial<TaskContract>
  if (typeof name === "string" && typeof options === "object") return given as TaskContract
  throw invalid(`${what}: ${show(given)} is no contract; make one with defineTask() or staticContract()`)
}
