import type { Schema, SchemaInput, SchemaOutput } from "./model/standard-schema.ts"
import type { TaskOptions } from "./rules/definition.ts"
import type { MigrationStep, Migrations } from "./rules/versions.ts"
import type { Composition } from "./workflow/composition.ts"

/** What a thing is about, for the compiler alone: nothing is there at run time. */
export interface Typed<In, Out> {
  /** Read it by `InferInput` and `InferOutput`. */
  readonly "~types"?: { readonly input: In; readonly output: Out }
}

/** What a task, a contract, a job or a composition takes, before its schema's defaults and transformations. */
export type InferInput<T> =
  T extends Composition<infer In, unknown>
    ? In
    : T extends { readonly "~types"?: { readonly input: infer In } | undefined }
      ? In
      : never
/** What a task's or contract's jobs, one job, or a composition give. */
export type InferOutput<T> =
  T extends Composition<never, infer Out>
    ? Out
    : T extends { readonly "~types"?: { readonly output: infer Out } | undefined }
      ? Out
      : never

type Unchecked<In, Out> = Omit<TaskOptions<In, Out>, "input" | "output" | "migrate">

/** Options of a task whose data has a schema: the handler gets what the schema makes of it. */
export type InputOptions<I extends Schema, Out, M> = Unchecked<SchemaOutput<I>, Out> & {
  readonly input: I
  readonly output?: undefined
  readonly migrate?: M & Joined<M, SchemaInput<I>>
}

/** Options of a task whose result has a schema: the handler gives what the schema takes. */
export type OutputOptions<In, O extends Schema> = Unchecked<In, SchemaInput<O>> & {
  readonly input?: undefined
  readonly output: O
  readonly migrate?: Migrations
}

/** Options of a task with schemas for both. */
export type InputOutputOptions<I extends Schema, O extends Schema, M> = Unchecked<
  SchemaOutput<I>,
  SchemaInput<O>
> & {
  readonly input: I
  readonly output: O
  readonly migrate?: M & Joined<M, SchemaInput<I>>
}

type Makes<S> = S extends MigrationStep<never, infer V> ? SchemaInput<V> : never

/** The steps of a list as they must be for each to take what the one before makes, and for the last to make `Last`. */
export type Joined<M, Last> = M extends readonly [infer First, infer Second, ...infer Rest]
  ? readonly [
      Second extends MigrationStep<infer From, Schema>
        ? Makes<First> extends From
          ? First
          : Misfit<First>
        : First,
      ...Joined<readonly [Second, ...Rest], Last>,
    ]
  : M extends readonly [infer Only]
    ? readonly [Makes<Only> extends Last ? Only : Misfit<Only>]
    : M

/** What a step would have to be; never there. */
interface Misfit<Step> extends MigrationStep {
  readonly "what it makes is not what comes next takes": Step
}
