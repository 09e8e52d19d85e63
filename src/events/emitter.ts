import { TaskoraError } from "../model/errors.ts"
import { nearest } from "../model/options.ts"

type Listener<P> = (payload: P, meta: never) => unknown

/**
 * A typed emitter whose listeners cannot hurt one another: what one throws or rejects with goes to `failed`, and the
 * others run. Listeners added or removed during an emit take effect from the next event on.
 */
export class Emitter<Events extends object> {
  private readonly listeners = new Map<string, Set<Listener<never>>>()
  /** What an emit runs through: as the listeners were when it began. */
  private readonly rounds = new Map<string, readonly Listener<never>[]>()

  constructor(
    private readonly names: readonly string[],
    private readonly hooks: {
      /** `name`: the event whose listener failed. */
      readonly failed: (error: unknown, name: string) => void
      readonly changed?: () => void
    },
  ) {}

  /** Returns what takes the listener off again; calling that twice does nothing. */
  on<K extends keyof Events & string>(
    name: K,
    listener: (payload: Events[K], meta: never) => unknown,
  ): () => void {
    this.check(name)
    if (typeof listener !== "function")
      throw new TaskoraError(`the listener of "${name}" must be a function`, "INVALID")
    // A wrapper, so that one function added twice can be taken off once.
    const own: Listener<Events[K]> = (payload, meta) => listener(payload, meta)
    const listeners = this.listeners.get(name) ?? new Set()
    this.listeners.set(name, listeners.add(own))
    this.changed(name)
    return () => {
      if (listeners.delete(own)) this.changed(name)
    }
  }

  has(name: keyof Events & string): boolean {
    return (this.listeners.get(name)?.size ?? 0) > 0
  }

  hasAny(names: readonly string[] = this.names): boolean {
    return names.some((name) => (this.listeners.get(name)?.size ?? 0) > 0)
  }

  emit<K extends keyof Events & string>(name: K, payload: Events[K], meta?: unknown): void {
    const failed = (error: unknown) => this.hooks.failed(error, name)
    for (const listener of this.round(name)) {
      try {
        const returned = listener(payload as never, meta as never)
        if (isThenable(returned)) returned.then(undefined, failed)
      } catch (error) {
        failed(error)
      }
    }
  }

  private round(name: string): readonly Listener<never>[] {
    let round = this.rounds.get(name)
    if (!round) {
      round = [...(this.listeners.get(name) ?? [])]
      this.rounds.set(name, round)
    }
    return round
  }

  private changed(name: string): void {
    this.rounds.delete(name)
    this.hooks.changed?.()
  }

  private check(name: string): void {
    if (this.names.includes(name)) return
    const near = nearest(String(name), this.names)
    const hint = near ? `did you mean "${near}"?` : `there are: ${this.names.join(", ")}`
    throw new TaskoraError(`there is no event "${String(name)}"; ${hint}`, "INVALID")
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as PromiseLike<unknown>).then === "function"
  )
}
