import type { Clock } from "../../src/model/clock.ts"

interface Due {
  at: number
  readonly order: number
  readonly fn: () => void
  /** Its place in the heap; -1 once it is out. */
  place: number
}

/** A clock for long runs: timers in a heap, and a few turns of the event loop between one moment and the next. */
export class VirtualClock implements Clock {
  private elapsed = 0
  private order = 0
  private readonly heap: Due[] = []
  private readonly start = 1_700_000_000_000

  readonly now = () => this.start + this.elapsed
  readonly monotonic = () => this.elapsed

  readonly setTimeout = (fn: () => void, ms: number): Due => {
    const due: Due = { at: this.elapsed + Math.max(ms, 0), order: this.order++, fn, place: this.heap.length }
    this.heap.push(due)
    this.up(due)
    return due
  }

  readonly clearTimeout = (timer: unknown): void => {
    const due = timer as Due | undefined
    if (due && due.place >= 0) this.remove(due)
  }

  get pending(): number {
    return this.heap.length
  }

  /** Moves time on; all that falls due at one moment runs together, and settles before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.elapsed + ms
    await settled()
    while (this.heap.length > 0 && this.heap[0]!.at <= until) {
      this.elapsed = this.heap[0]!.at
      while (this.heap.length > 0 && this.heap[0]!.at <= this.elapsed) {
        const due = this.heap[0]!
        this.remove(due)
        due.fn()
      }
      await settled()
    }
    this.elapsed = until
  }

  private remove(due: Due): void {
    const last = this.heap.pop()!
    if (last !== due) {
      last.place = due.place
      this.heap[due.place] = last
      this.up(last)
      this.down(last)
    }
    due.place = -1
  }

  private up(due: Due): void {
    while (due.place > 0) {
      const above = this.heap[(due.place - 1) >> 1]!
      if (!before(due, above)) return
      this.swap(due, above)
    }
  }

  private down(due: Due): void {
    for (;;) {
      const [left, right] = [this.heap[2 * due.place + 1], this.heap[2 * due.place + 2]]
      const below = right && before(right, left!) ? right : left
      if (!below || !before(below, due)) return
      this.swap(below, due)
    }
  }

  private swap(a: Due, b: Due): void {
    const place = a.place
    a.place = b.place
    b.place = place
    this.heap[a.place] = a
    this.heap[b.place] = b
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** What a moment sets off needs a few turns: a call goes out in one, and what it answered is begun in the next. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}
