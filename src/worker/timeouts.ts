import type { Clock, Timer } from "../model/clock.ts"
import type { Definition } from "../rules/definition.ts"
import type { Run } from "./run.ts"

interface Timed {
  readonly definition: Definition
  readonly runs: ReadonlyMap<string, Run>
  timeOut(run: Run): void
}

/** One timer for all runs of a task: they stand in the order in which they began, and share one timeout. */
export class Timeouts {
  private timer: Timer | undefined

  constructor(
    private readonly slots: Timed,
    private readonly clock: Clock,
  ) {}

  /** Sets the timer for the oldest run, unless it is set already. */
  watch(): void {
    const { timeoutMs } = this.slots.definition
    if (timeoutMs === 0 || this.timer !== undefined) return
    for (const run of this.slots.runs.values()) {
      if (run.ending) continue
      const left = run.startedAt + timeoutMs - this.clock.monotonic()
      // Whole ms, rounded up: a timer that fires a fraction early would be set again for nothing.
      this.timer = this.clock.setTimeout(() => this.fire(), Math.max(1, Math.ceil(left)))
      return
    }
  }

  dispose(): void {
    this.clock.clearTimeout(this.timer)
    this.timer = undefined
  }

  private fire(): void {
    this.timer = undefined
    for (const run of this.slots.runs.values()) {
      if (run.ending) continue
      if (this.clock.monotonic() - run.startedAt < this.slots.definition.timeoutMs) break
      this.slots.timeOut(run)
    }
    this.watch()
  }
}
