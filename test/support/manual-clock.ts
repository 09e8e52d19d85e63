import type { Clock, Timer } from "../../src/model/clock.ts"

export interface ManualClock extends Clock {
  /** Moves time on and runs the timers that fall due, in order, letting promises settle between them. */
  advance(ms: number): Promise<void>
  /** Sets wall-clock time, also backwards, without running timers. */
  setNow(ms: number): void
  /** How many timers are pending. */
  pending(): number
}

interface PendingTimer {
  readonly due: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that only moves when told to. */
export function manualClock(start = 1_700_000_000_000): ManualClock {
  let wall = start
  let elapsed = 0
  let order = 0
  const timers = new Set<PendingTimer>()
  const next = (until: number) =>
    [...timers].filter((timer) => timer.due <= until).sort((a, b) => a.due - b.due || a.order - b.order)[0]
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return {
    now: () => wall,
    monotonic: () => elapsed,
    setTimeout(fn, ms): Timer {
      const timer = { due: elapsed + Math.max(ms, 0), order: order++, fn }
      timers.add(timer)
      return timer
    },
    clearTimeout: (timer) => {
      timers.delete(timer as PendingTimer)
    },
    async advance(ms) {
      const until = elapsed + ms
      await settle()
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        timers.delete(timer)
        wall += timer.due - elapsed
        elapsed = timer.due
        timer.fn()
        await settle()
      }
      wall += until - elapsed
      elapsed = until
    },
    setNow(ms) {
      wall = ms
    },
    pending: () => timers.size,
  }
}
