import type { Clock, Timer } from "../model/clock.ts"

interface Pending {
  readonly due: number
  readonly order: number
  readonly fn: () => void
  /** Looks now and then whether there is something to do: nothing depends on its hour. */
  readonly idle: boolean
}

/** A clock that stands until it is moved, by whole ms. Timers fire when their time has come, in their order. */
export class VirtualClock implements Clock {
  private wall: number
  private elapsed = 0
  private order = 0
  private readonly timers = new Set<Pending>()

  constructor(start: number) {
    this.wall = Math.round(start)
  }

  now(): number {
    return this.wall
  }

  monotonic(): number {
    return this.elapsed
  }

  setTimeout(fn: () => void, ms: number, _hold = false, idle = false): Timer {
    const timer: Pending = { due: this.elapsed + Math.ceil(Math.max(0, ms)), order: this.order++, fn, idle }
    this.timers.add(timer)
    return timer
  }

  clearTimeout(timer: Timer): void {
    this.timers.delete(timer as Pending)
  }

  /** When the next timer fires, wall-clock ms; of those that look now and then, only if `all` are asked for. */
  next(all: boolean): number | undefined {
    let due = Infinity
    for (const timer of this.timers) if (all || !timer.idle) due = Math.min(due, timer.due)
    return due === Infinity ? undefined : this.wall + Math.max(0, due - this.elapsed)
  }

  /** Moves time on to `at`, wall-clock ms, and fires nothing. */
  moveTo(at: number): void {
    const ms = Math.max(0, at - this.wall)
    this.wall += ms
    this.elapsed += ms
  }

  /** Fires the timer that has been due for longest, and says of which kind it was; undefined where none is due. */
  fire(): "due" | "idle" | undefined {
    let first: Pending | undefined
    for (const timer of this.timers) {
      if (timer.due > this.elapsed) continue
      if (!first || timer.due < first.due || (timer.due === first.due && timer.order < first.order))
        first = timer
    }
    if (!first) return undefined
    this.timers.delete(first)
    first.fn()
    return first.idle ? "idle" : "due"
  }
}
