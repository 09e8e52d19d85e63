import { systemClock } from "../../../model/clock.ts"
import type { StoreError } from "../../store.ts"

const looksAtOnce = 200

export interface WatchOptions<T> {
  /** Sees to it that `ring` is called for these keys from now on, and once when that has begun. */
  join(keys: readonly string[]): void
  /** These are not watched any more. */
  left?(keys: readonly string[]): void
  /** Looks at keys that rang. Those that could not be looked at must ring again, later. */
  look(keys: readonly string[]): Promise<T[]>
}

/**
 * Waits for something to be found at keys of any number of slots. A key is looked at when it is new here, and when it
 * rang since the last look; so nothing is asked while nothing happens.
 */
export class Watch<T> {
  readonly #options: WatchOptions<T>
  readonly #rung = new Set<string>()
  #watched: ReadonlySet<string> = new Set()
  #interrupted = false
  #failure: StoreError | undefined
  #ended: StoreError | undefined
  #wake: (() => void) | undefined

  constructor(options: WatchOptions<T>) {
    this.#options = options
  }

  /** What is found within `blockMs`; nothing where nothing is, or it was interrupted. One call at a time. */
  async next(keys: readonly string[], blockMs: number): Promise<T[]> {
    const deadline = systemClock.monotonic() + blockMs
    this.#watch(keys)
    for (;;) {
      this.#throwFailure()
      if (this.#interrupted) {
        this.#interrupted = false
        return []
      }
      const ready = [...this.#rung].filter((key) => this.#watched.has(key)).slice(0, looksAtOnce)
      if (ready.length > 0) {
        for (const key of ready) this.#rung.delete(key)
        const found = await this.#options.look(ready)
        if (found.length > 0) return found
        continue
      }
      const leftMs = deadline - systemClock.monotonic()
      if (leftMs <= 0) return []
      await this.#rest(leftMs)
    }
  }

  /** Something may have happened to the key. */
  ring(key: string): void {
    this.#rung.add(key)
    if (this.#watched.has(key)) this.#wake?.()
  }

  ringAll(): void {
    for (const key of this.#watched) this.#rung.add(key)
    this.#wake?.()
  }

  interrupt(): void {
    this.#interrupted = true
    this.#wake?.()
  }

  /** Rejects the call that is under way, or the next one. */
  fail(error: StoreError): void {
    this.#failure = error
    this.#wake?.()
  }

  /** Rejects all calls from now on. */
  end(error: StoreError): void {
    this.#ended = error
    this.#wake?.()
  }

  /** A key that is not watched any more may have rung. */
  forget(key: string): void {
    if (!this.#watched.has(key)) this.#rung.delete(key)
  }

  #watch(keys: readonly string[]): void {
    const fresh = keys.filter((key) => !this.#watched.has(key))
    for (const key of fresh) this.#rung.add(key)
    const before = this.#watched
    this.#watched = new Set(keys)
    if (this.#options.left) {
      const left = [...before].filter((key) => !this.#watched.has(key))
      if (left.length > 0) this.#options.left(left)
    }
    if (fresh.length > 0) this.#options.join(fresh)
  }

  #throwFailure(): void {
    if (this.#ended) throw this.#ended
    const failure = this.#failure
    if (!failure) return
    this.#failure = undefined
    throw failure
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = systemClock.setTimeout(() => this.#wake?.(), ms)
      this.#wake = () => {
        systemClock.clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }
}
