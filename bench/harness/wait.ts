import { setTimeout as sleep } from "node:timers/promises"
import type { Counts, Payload, Queue } from "../contestants/contestant.ts"

const patienceMs = 60_000

/** Which of the numbers 0 to n - 1 were handled, each once. */
export class Ledger {
  readonly all: Promise<void>
  count = 0
  private readonly seen: Uint8Array
  private finish!: () => void

  constructor(private readonly size: number) {
    this.seen = new Uint8Array(size)
    this.all = new Promise((resolve) => {
      this.finish = resolve
    })
  }

  add({ i }: Payload): void {
    if (this.seen[i] !== 0) throw new Error(`job ${i} was handled twice, or was never given`)
    this.seen[i] = 1
    if (++this.count === this.size) this.finish()
  }

  /** Resolves when all were handled; rejects after a minute without progress, telling how many are lost. */
  async complete(): Promise<void> {
    for (let before = -1; before !== this.count; ) {
      before = this.count
      if ((await within(this.all, patienceMs)) === "ended") return
    }
    throw new Error(`${this.size - this.count} of ${this.size} jobs were lost`)
  }
}

export async function within(promise: Promise<unknown>, ms: number): Promise<"ended" | "late"> {
  const timer = new AbortController()
  const late = sleep(ms, "late" as const, { signal: timer.signal }).catch(() => "ended" as const)
  const ended = await Promise.race([promise.then(() => "ended" as const), late])
  timer.abort()
  return ended
}

/** Waits until the queue's counts are those expected. */
export async function untilCounts(queue: Queue, expected: Partial<Counts>): Promise<void> {
  const wanted = Object.entries(expected) as [keyof Counts, number][]
  let counts = await queue.counts()
  for (let tries = 0; wanted.some(([state, n]) => counts[state] !== n); tries++) {
    if (tries === 1000)
      throw new Error(`expected ${JSON.stringify(expected)}, found ${JSON.stringify(counts)}`)
    await sleep(10)
    counts = await queue.counts()
  }
}
