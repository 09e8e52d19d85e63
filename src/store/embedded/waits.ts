import type { Clock, Timer } from "../../model/clock.ts"
import type { Bytes } from "./bytes.ts"

/** A call that waits until one of its keys has something for it. */
export interface Wait<T> {
  readonly keys: readonly Bytes[]
  readonly promise: Promise<T>
  /** Ends the wait with what a timeout gives. */
  stop(): void
  fail(error: Error): void
}

interface Waiter {
  /** Takes what there is for it under the key and answers true, or answers false and goes on waiting. */
  serve(key: Bytes): boolean
}

/** Who waits for which keys, first come first served for each key. */
export class Waits {
  private readonly waiters = new Map<Bytes, Set<Waiter>>()
  private readonly grown = new Set<Bytes>()

  constructor(private readonly clock: Clock) {}

  /** Notes that a key got a new element; those who wait are served by `settle`. */
  note(key: Bytes): void {
    if (this.waiters.has(key)) this.grown.add(key)
  }

  /** Serves those who wait for keys that have grown since; called when a script has finished, never inside one. */
  settle(): void {
    if (this.grown.size === 0) return
    const keys = [...this.grown]
    this.grown.clear()
    for (const key of keys) for (const waiter of [...(this.waiters.get(key) ?? [])]) waiter.serve(key)
  }

  /**
   * Waits until `take` answers something for one of the keys, or `timeoutMs` have passed. The timer holds the process
   * up, as a blocked connection would.
   */
  begin<T>(keys: readonly Bytes[], timeoutMs: number, take: (key: Bytes) => T | undefined, none: T): Wait<T> {
    const { promise, resolve, reject } = deferred<T>()
    let timer: Timer
    const waiter: Waiter = {
      serve(key) {
        const taken = take(key)
        if (taken === undefined) return false
        end(() => resolve(taken))
        return true
      },
    }
    const end = (answer: () => void) => {
      this.clock.clearTimeout(timer)
      this.leave(keys, waiter)
      answer()
    }
    const stop = () => end(() => resolve(none))
    timer = this.clock.setTimeout(stop, timeoutMs, true, true)
    this.join(keys, waiter)
    for (const key of keys) if (waiter.serve(key)) break
    return { keys, promise, stop, fail: (error) => end(() => reject(error)) }
  }

  private join(keys: readonly Bytes[], waiter: Waiter): void {
    for (const key of keys) {
      const queue = this.waiters.get(key)
      if (queue === undefined) this.waiters.set(key, new Set([waiter]))
      else queue.add(waiter)
    }
  }

  private leave(keys: readonly Bytes[], waiter: Waiter): void {
    for (const key of keys) {
      const queue = this.waiters.get(key)
      queue?.delete(waiter)
      if (queue?.size === 0) this.waiters.delete(key)
    }
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
