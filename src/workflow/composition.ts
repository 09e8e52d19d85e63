import type { Duration } from "../model/duration.ts"
import { TaskoraError } from "../model/errors.ts"
import { invalid } from "../model/options.ts"
import type { Definition } from "../rules/definition.ts"
import type { WorkflowHandle } from "./handle.ts"

/** One job of a composition, or several: in a row, or side by side. */
export type Form =
  | {
      readonly kind: "job"
      readonly task: ComposedTask
      readonly data?: unknown
      readonly bound: boolean
      readonly how: NodeOptions
    }
  | { readonly kind: "chain"; readonly parts: readonly Form[] }
  | { readonly kind: "group"; readonly members: readonly Form[] }

/** What a composition must know of a task: its options may still change until it is dispatched. */
export interface ComposedTask {
  readonly name: string
  readonly definition: Pick<Definition, "version" | "checks" | "flow">
}

/** How a job of a composition is dispatched once it is its turn. */
export interface NodeOptions {
  readonly delay?: Duration
  readonly priority?: number
}

export interface WorkflowOptions {
  /** The whole workflow fails with an `ExpiredError` where it has not ended by then. Default: no bound. */
  readonly ttl?: Duration
  /** Shown in events, spans and graphs; 1 to 200 characters. Default: the names of its tasks. */
  readonly name?: string
}

/** Who dispatches a composition: the app whose tasks it is made of. */
export interface Dispatcher {
  dispatch(form: Form, options: WorkflowOptions): WorkflowHandle<unknown>
}

declare const types: unique symbol

/**
 * Jobs to be run together. `In`: what the first of them take (`unknown` where their data is given already), `Out`: what
 * the last of them give. Made by `task.s()`, `task.map()`, `task.chunk()`, `chain`, `group` and `chord`; nothing runs
 * before `dispatch()`, and one composition may be dispatched, or built into others, as often as you like.
 */
export class Composition<In, Out> {
  declare readonly [types]: { readonly takes: (value: In) => void; readonly gives: Out }

  /** @internal */
  constructor(
    /** @internal */
    readonly form: Form,
    /** @internal */
    readonly dispatcher: Dispatcher | undefined,
  ) {}

  /** This, then `next` with what this gives. */
  pipe<Next>(next: Composition<Out, Next>): Composition<In, Next> {
    return joined("chain", [this, next], "pipe") as Composition<In, Next>
  }

  /**
   * Stores the workflow and lets it run. Returns at once; awaiting the handle tells when it is stored (or could not be).
   * @throws TaskoraError (`INVALID`) for wrong options, or where a first job has no data
   */
  dispatch(this: Composition<unknown, Out>, options: WorkflowOptions = {}): WorkflowHandle<Out> {
    if (!this.dispatcher) throw invalid("a composition without any job cannot be dispatched")
    return this.dispatcher.dispatch(this.form, options) as WorkflowHandle<Out>
  }
}

/** Any composition, whatever it takes and gives. */
export type AnyComposition = Composition<never, unknown>
/** What a composition gives. */
export type OutputOf<C> = C extends Composition<never, infer Out> ? Out : never
type TakerOf<C> = C extends Composition<infer In, unknown> ? (value: In) => void : never
/** What all of the compositions take. */
type InputOfAll<T extends readonly AnyComposition[]> = {
  [K in keyof T]: TakerOf<T[K]>
}[number] extends (value: infer In) => void
  ? In
  : never
type OutputOfAll<T extends readonly AnyComposition[]> = { -readonly [K in keyof T]: OutputOf<T[K]> }
type C<In, Out> = Composition<In, Out>

/** One after the other, each with what the one before it gave. Longer ones than ten: `.pipe()`, or chains of chains. */
export function chain<I, A>(a: C<I, A>): C<I, A>
export function chain<I, A, B>(a: C<I, A>, b: C<A, B>): C<I, B>
export function chain<I, A, B, D>(a: C<I, A>, b: C<A, B>, c: C<B, D>): C<I, D>
export function chain<I, A, B, D, E>(a: C<I, A>, b: C<A, B>, c: C<B, D>, d: C<D, E>): C<I, E>
export function chain<I, A, B, D, E, F>(...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>]): C<I, F>
export function chain<I, A, B, D, E, F, G>(
  ...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>, C<F, G>]
): C<I, G>
export function chain<I, A, B, D, E, F, G, H>(
  ...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>, C<F, G>, C<G, H>]
): C<I, H>
export function chain<I, A, B, D, E, F, G, H, J>(
  ...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>, C<F, G>, C<G, H>, C<H, J>]
): C<I, J>
export function chain<I, A, B, D, E, F, G, H, J, K>(
  ...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>, C<F, G>, C<G, H>, C<H, J>, C<J, K>]
): C<I, K>
export function chain<I, A, B, D, E, F, G, H, J, K, L>(
  ...all: [C<I, A>, C<A, B>, C<B, D>, C<D, E>, C<E, F>, C<F, G>, C<G, H>, C<H, J>, C<J, K>, C<K, L>]
): C<I, L>
export function chain(...parts: AnyComposition[]): AnyComposition {
  if (parts.length === 0) throw invalid("chain: give at least one composition, such as task.s(data)")
  return joined("chain", parts, "chain")
}

/** Side by side, each with what stood before the group; gives their results as a list, in this order. */
export function group<const T extends readonly AnyComposition[]>(
  ...members: T
): Composition<InputOfAll<T>, OutputOfAll<T>> {
  return joined("group", members, "group") as Composition<InputOfAll<T>, OutputOfAll<T>>
}

/** A group, and then `callback` with the list of its results. */
export function chord<const T extends readonly AnyComposition[], Out>(
  members: T,
  callback: Composition<OutputOfAll<T>, Out>,
): Composition<InputOfAll<T>, Out> {
  if (!Array.isArray(members)) throw invalid("chord: the first argument is a list of compositions")
  const side = joined("group", members, "chord")
  return joined("chain", [side, callback as AnyComposition], "chord") as Composition<InputOfAll<T>, Out>
}

/** @internal Members that are made of one list, and so are all alike. */
export function groupOf<Out>(forms: readonly Form[], dispatcher: Dispatcher): Composition<unknown, Out[]> {
  return new Composition<unknown, Out[]>({ kind: "group", members: forms }, dispatcher)
}

function joined(kind: "chain" | "group", parts: readonly AnyComposition[], what: string): AnyComposition {
  let dispatcher: Dispatcher | undefined
  for (const part of parts) {
    if (!(part instanceof Composition))
      throw invalid(`${what}: takes compositions, such as task.s(data) or chain(...), not ${typeof part}`)
    dispatcher ??= part.dispatcher
    if (part.dispatcher && part.dispatcher !== dispatcher)
      throw new TaskoraError(`${what}: all tasks of a workflow must be of one app`, "INVALID")
  }
  // A chain in a chain is one: `pipe` after `pipe` must not nest.
  const forms = parts.flatMap(({ form }) => (kind === "chain" && form.kind === "chain" ? form.parts : [form]))
  return new Composition(
    kind === "chain" ? { kind, parts: forms } : { kind, members: forms },
    dispatcher,
  ) as AnyComposition
}
