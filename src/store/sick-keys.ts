import type { Clock } from "../model/clock.ts"
import { StoreError } from "./store.ts"

const retryAfterMs = 5000

/**
 * Keys that the server refuses to read: of the wrong type, or no longer permitted. A command over many keys fails for all
 * when it fails for one, so such keys are left out, tried again now and then, and told of once.
 */
export class SickKeys {
  private readonly until = new Map<string, number>()

  constructor(
    private readonly clock: Clock,
    private readonly tell: (error: unknown) => void,
  ) {}

  get isEmpty(): boolean {
    return this.until.size === 0
  }

  /** Whether the key may be asked for now. */
  isWell(key: string): boolean {
    const until = this.until.get(key)
    return until === undefined || until <= this.clock.monotonic()
  }

  /** Asks for each key alone, and leaves out those that are refused. @throws StoreError where the connection fails */
  async sort(keys: Iterable<string>, ask: (key: string) => Promise<void>): Promise<void> {
    for (const key of keys) {
      if (!this.isWell(key)) continue
      try {
        await ask(key)
        this.until.delete(key)
      } catch (error) {
        if (!isRefused(error)) throw error
        if (!this.until.has(key)) this.tell(error)
        this.until.set(key, this.clock.monotonic() + retryAfterMs)
      }
    }
  }
}

export function isRefused(error: unknown): boolean {
  return error instanceof StoreError && error.fate === "refused"
}
