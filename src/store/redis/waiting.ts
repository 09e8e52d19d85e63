import type { Connection } from "./connection.ts"
import type { Interrupt } from "./interrupt.ts"
import { blockingGraceMs } from "./reading.ts"

/** The process's wait for work: one BZPOPMIN at a time, over the wake markers asked for and a key of its own. */
export class WorkWaiting {
  /** For each key, the number of the call that last returned it. */
  readonly #servedAt = new Map<string, number>()
  #calls = 0

  constructor(
    private readonly connection: Connection,
    private readonly control: { readonly key: string; readonly interrupt: Interrupt },
  ) {}

  async wait(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    await this.connection.opened()
    const { key, interrupt } = this.control
    const blockFor = Math.max(1, Math.ceil(blockMs))
    const reply = await interrupt.during(() => {
      const args = [key, ...this.#longestUnservedFirst(keys), (blockFor / 1000).toFixed(3)]
      return this.connection.send("bzpopmin", args, blockFor + blockingGraceMs)
    })
    const served = (reply as [key: string, member: string, score: string] | null | undefined)?.[0]
    if (served === undefined || served === key) return []
    this.#servedAt.set(served, ++this.#calls)
    return [served]
  }

  /** The server serves the first key that has a marker, for ever: the order is what makes it fair. */
  #longestUnservedFirst(keys: readonly string[]): string[] {
    return [...keys].sort((a, b) => (this.#servedAt.get(a) ?? 0) - (this.#servedAt.get(b) ?? 0))
  }
}
