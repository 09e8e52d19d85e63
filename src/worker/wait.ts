import { sleep } from "../model/clock.ts"
import type { Link } from "../store/link.ts"
import type { Slots } from "./slots.ts"

/** How long one wait lasts at the most: an idle process sends a command every five seconds. */
const blockMs = 5000

/** Waits for wake markers of all tasks with free slots, on one connection for the process. */
export class WorkWait {
  private stopped = false
  private waitingFor = new Set<Slots>()
  private nudge: (() => void) | undefined
  private loop: Promise<void> | undefined

  constructor(
    private readonly link: Link,
    private readonly slots: ReadonlySet<Slots>,
  ) {}

  start(): void {
    this.loop ??= this.run()
  }

  /** This task has free slots and found nothing to claim. */
  offer(slots: Slots): void {
    if (this.nudge) this.nudge()
    else if (!this.waitingFor.has(slots)) this.link.interruptWait()
  }

  /** Ends the loop; a marker that it took at the last moment is given back by `onMarker`'s claim. */
  async stop(): Promise<void> {
    this.stopped = true
    this.nudge?.()
    if (this.loop) {
      if (this.waitingFor.size > 0) this.link.interruptWait()
      await this.loop
    }
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.stopped; ) {
      this.waitingFor = new Set([...this.slots].filter((slots) => slots.freeSlots > 0))
      if (this.waitingFor.size === 0) {
        await new Promise<void>((resolve) => {
          this.nudge = resolve
        })
        this.nudge = undefined
        continue
      }
      try {
        const keys = [...this.waitingFor].map((slots) => slots.keys.wake)
        const key = await this.link.waitForWork(keys, blockMs)
        failures = 0
        if (key !== undefined) this.found(key)
      } catch {
        // The link tells of lost connections once for all; here it is only tried again.
        if (!this.stopped)
          await sleep(this.link.clock, Math.min(50 * 2 ** failures++, 2000) * (0.75 + Math.random() / 2))
      }
    }
    this.waitingFor.clear()
  }

  private found(key: string): void {
    for (const slots of this.waitingFor) if (slots.keys.wake === key) slots.claim(true)
  }
}
