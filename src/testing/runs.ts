import { systemClock } from "../model/clock.ts"
import type { Attempt, Observer, Transition } from "../model/observer.ts"

const endings: readonly Transition["kind"][] = ["completed", "failed", "cancelled", "released", "lost"]

/** The handlers that run, and for how long they are still waited for while time stands. */
export class Runs {
  /** Rises with all that is heard of runs. */
  news = 0
  private readonly open = new Map<Attempt, number>()

  constructor(private readonly patienceMs: number) {}

  readonly observer: Observer = {
    name: "test runner",
    attempt: (attempt, run) => {
      this.open.set(attempt, systemClock.monotonic())
      this.news++
      return run()
    },
    transition: (transition) => {
      this.news++
      if (endings.includes(transition.kind)) this.open.delete((transition as { attempt: Attempt }).attempt)
      // Whoever reports is at work: their patience begins anew.
      if (transition.kind === "progress" || transition.kind === "log") this.seen(transition.attempt)
    },
  }

  get any(): boolean {
    return this.open.size > 0
  }

  /** Whether some handler may be busy with the world outside, and not with waiting for virtual time. */
  get awaited(): boolean {
    const now = systemClock.monotonic()
    for (const since of this.open.values()) if (now - since < this.patienceMs) return true
    return false
  }

  private seen(attempt: Attempt): void {
    if (this.open.has(attempt)) this.open.set(attempt, systemClock.monotonic())
  }
}
