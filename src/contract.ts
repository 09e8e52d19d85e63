import { checkTaskName } from "./model/names.ts"
import { checkNames, defaultRetention } from "./model/options.ts"
import type { Schema, SchemaInput, SchemaOutput } from "./model/standard-schema.ts"
import { type AnyTaskOptions, define, type TaskOptions, taskOptionNames } from "./rules/definition.ts"
import type { Typed } from "./task-types.ts"

/** What of a task's options belongs to those who run it, and not to its contract. */
const ownOfWorkers = ["handler", "middleware", "onCancel", "migrate", "schedule"] as const
type OwnOfWorkers = (typeof ownOfWorkers)[number]

/** Defaults of a task that a contract may carry; whoever implements it may give others. */
export type ContractDefaults = Omit<TaskOptions, OwnOfWorkers | "input" | "output">

/** What whoever runs a task may say beside its contract; it comes before what the contract says. */
export type ImplementOptions<Data, Given> = Omit<
  TaskOptions<Data, Given>,
  "handler" | "input" | "output" | "version"
>

/**
 * A task without its handler, to be shared by those who dispatch it and those who run it.
 * `Data`: what the handler gets; `Given`: what it gives.
 */
export interface TaskContract<In = unknown, Out = unknown, Data = In, Given = Out> extends Typed<In, Out> {
  readonly name: string
  /** @internal */
  readonly options: AnyTaskOptions
  /** For the compiler alone. */
  readonly "~handler"?: { readonly data: Data; readonly given: Given }
}

/**
 * Makes a contract with schemas. It is plain data: who imports it to dispatch imports no handler.
 *
 * `export const sendEmail = defineTask({ name: "send-email", input: z.object({ to: z.string() }), retry: { attempts: 3 } })`
 * @throws TaskoraError (`INVALID`) naming the option that is wrong
 */
export function defineTask<I extends Schema = Schema<unknown>, O extends Schema = Schema<unknown>>(
  definition: { readonly name: string; readonly input?: I; readonly output?: O } & ContractDefaults,
): TaskContract<SchemaInput<I>, SchemaOutput<O>, SchemaOutput<I>, SchemaInput<O>> {
  const { name, ...options } = definition
  return contract(name, options)
}

/** Makes a contract whose types are only said: nothing is validated. @throws TaskoraError (`INVALID`) */
export function staticContract<In = unknown, Out = unknown>(
  definition: { readonly name: string } & ContractDefaults,
): TaskContract<In, Out> {
  const { name, ...options } = definition
  return contract(name, options)
}

function contract(name: string, options: AnyTaskOptions): TaskContract<never, never, never, never> {
  checkTaskName(name)
  const what = `contract of task "${name}"`
  checkNames(
    options,
    taskOptionNames.filter((option) => !ownOfWorkers.some((own) => own === option)),
    what,
  )
  // What is wrong here is wrong for everybody who uses it.
  define(name, options, {}, defaultRetention)
  return Object.freeze({ name, options: Object.freeze(options) })
}
