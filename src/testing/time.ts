import type { Runs } from "./runs.ts"
import type { VirtualClock } from "./virtual-clock.ts"
import type { Calls } from "./watched-adapter.ts"

/** Turns of the event loop without any news after which the engine is at rest. */
const quietTurns = 3
/** How many moments in a row may pass without what is waited for. */
const mostMoments = 200_000

/** Moves virtual time from one moment at which something is due to the next, and lets everything come to rest in between. */
export class Time {
  constructor(
    private readonly clock: VirtualClock,
    private readonly watch: {
      readonly calls: Calls
      readonly runs: Runs
      /** The first moment from `at` on that the engine has noted, wall-clock ms. */
      readonly noted: (at: number) => number | undefined
    },
  ) {}

  /** Resolves when nothing more happens without time going by. */
  async rest(): Promise<void> {
    const { calls, runs } = this.watch
    for (let quiet = 0; quiet < quietTurns; ) {
      const before = calls.made + runs.news
      await new Promise((resolve) => setImmediate(resolve))
      if (calls.underWay > 0 || calls.made + runs.news !== before) quiet = 0
      else if (runs.awaited) {
        quiet = 0
        await new Promise((resolve) => setTimeout(resolve, 1))
      } else quiet++
    }
  }

  /** Lets `ms` go by. */
  async pass(ms: number): Promise<void> {
    const target = this.clock.now() + Math.ceil(ms)
    await this.rest()
    while (this.clock.now() < target) await this.moment(Math.min(this.next() ?? target, target))
  }

  /** Lets time go by until it is done, and not at all if it is. False where nothing is due any more, or not for too long. */
  async until(done: () => boolean | Promise<boolean>): Promise<boolean> {
    for (let moments = 0; moments < mostMoments; moments++) {
      await this.rest()
      if (await done()) return true
      const next = this.next()
      if (next === undefined) return false
      await this.moment(next)
    }
    return false
  }

  private async moment(at: number): Promise<void> {
    this.clock.moveTo(at)
    do {
      // Looks now and then may all look at once; what is due is due one after the other.
      for (let fired = this.clock.fire(); fired; fired = this.clock.fire())
        if (fired === "due") await this.rest()
      await this.rest()
    } while (this.clock.fire())
  }

  private next(): number | undefined {
    const now = this.clock.now()
    const noted = this.watch.noted(now)
    // What is due at a time is due from then on; a lease is lost a moment later.
    const soon = noted === undefined ? Infinity : noted > now ? noted : now + 1
    // While handlers run, their leases are renewed now and then.
    const next = Math.min(soon, this.clock.next(this.watch.runs.any) ?? Infinity)
    return next === Infinity ? undefined : next
  }
}
