import { type App, createTaskora, type TaskoraError } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import type { Observer, Transition } from "../../src/model/observer.ts"
import type { Adapter, Reply, ScriptSource, Store } from "../../src/store/store.ts"
import { type ManualClock, manualClock } from "../support/manual-clock.ts"

/** 2026-11-23T00:00:00Z. */
export const midnight = Date.UTC(2026, 10, 23)

/** One keyspace whose time a test turns by hand, and the apps on it: each as a process of its own would be. */
export class Cluster {
  readonly clock: ManualClock
  readonly adapter: ReturnType<typeof memoryAdapter>
  readonly transitions: Transition[] = []
  readonly errors: Error[] = []
  private readonly open = new Set<App>()

  constructor(now = midnight) {
    this.clock = manualClock(now)
    this.adapter = memoryAdapter({ clock: this.clock })
  }

  app(observers: readonly Observer[] = [], adapter: Adapter = this.adapter): App {
    const own: Observer = { name: "test", transition: (transition) => this.transitions.push(transition) }
    const app = createTaskora({ adapter, observers: [own, ...observers] })
    app.on("worker:error", (error) => this.errors.push(error))
    this.open.add(app)
    return app
  }

  /** A store for a process that dies as it calls a script: before the call is sent, or before it is answered. */
  mortal(script: string, when: "before" | "after"): Adapter {
    const { adapter } = this
    return { ...adapter, open: (...args) => dyingStore(adapter.open(...args), script, when) }
  }

  /** A store for a process that is answered late, by this script. */
  slow(script: string, ms: number): Adapter {
    const { adapter, clock } = this
    const answered: Around = async (source, call) => {
      const answer = await call()
      if (source.name === script) await new Promise<void>((resolve) => clock.setTimeout(resolve, ms))
      return answer
    }
    return { ...adapter, open: (...args) => around(adapter.open(...args), answered) }
  }

  /** Starts an app, in its own time. */
  async start(app: App): Promise<App> {
    const started = app.start()
    await this.settle()
    await started
    return app
  }

  /** Waits for what an app is asked. */
  async ask<T>(answer: Promise<T>): Promise<T> {
    await this.settle()
    return answer
  }

  /** Moves time on, bit by bit: what one part of an app begins at a time another may finish at the same. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) await this.clock.advance(Math.min(50, left))
    await this.settle()
  }

  /** Lets what is under way come to its end, without any time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 60; i++) await this.clock.advance(0)
  }

  async close(app: App): Promise<void> {
    this.open.delete(app)
    let closed = false
    const done = app.close({ timeout: 0 }).then(() => {
      closed = true
    })
    while (!closed) await this.clock.advance(5)
    await done
  }

  async end(): Promise<void> {
    for (const app of this.open) await this.close(app)
  }

  of<K extends Transition["kind"]>(kind: K): Extract<Transition, { kind: K }>[] {
    return this.transitions.filter((t): t is Extract<Transition, { kind: K }> => t.kind === kind)
  }
}

/** What becomes of a call. */
type Around = (source: ScriptSource, call: () => Promise<Reply>) => Promise<Reply>

function dyingStore(store: Store, script: string, when: "before" | "after"): Store {
  let dead = false
  return around(store, async (source, call) => {
    const last = source.name === script
    if (dead || (last && when === "before")) {
      dead = true
      return new Promise(() => {})
    }
    if (!last) return call()
    dead = true
    await call()
    return new Promise(() => {})
  })
}

function around(store: Store, becomes: Around): Store {
  const run: Store["run"] = (source, keys, args) => becomes(source, () => store.run(source, keys, args))
  return new Proxy(store, {
    get(target, name) {
      if (name === "run") return run
      const value = Reflect.get(target, name) as unknown
      return typeof value === "function" ? value.bind(target) : value
    },
  })
}

/** What a call throws. */
export function thrown(call: () => unknown): TaskoraError {
  try {
    call()
  } catch (error) {
    return error as TaskoraError
  }
  throw new Error("nothing was thrown")
}
