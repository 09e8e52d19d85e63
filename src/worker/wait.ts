import { sleep } from "../model/clock.ts"
import type { Core } from "../store/core.ts"
import type { Link } from "../store/link.ts"
import { isRefused, SickKeys } from "../store/sick-keys.ts"
import type { Slots } from "./slots.ts"

/** How long one wait lasts at the most: an idle process sends a command every five seconds. */
const blockMs = 5000
const lookAgainMs = 1000

/** Waits for wake markers of all tasks with free slots, on one connection for the process. */
export class WorkWait {
  private stopped = false
  private waitingFor = new Set<Slots>()
  private nudge: (() => void) | undefined
  private loop: Promise<void> | undefined

  private readonly link: Link
  private readonly sick: SickKeys

  constructor(
    core: Core,
    private readonly slots: ReadonlySet<Slots>,
  ) {
    this.link = core.link
    this.sick = new SickKeys(core.link.clock, (error) => core.report(error, "script"))
  }

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
      this.waitingFor = new Set(
        [...this.slots].filter((slots) => slots.freeSlots > 0 && isWell(slots, this.sick)),
      )
      if (this.waitingFor.size === 0) {
        await this.parked()
        continue
      }
      try {
        const keys = [...this.waitingFor].flatMap(wakeKeys)
        const found = await this.link.waitForWork(keys, blockMs)
        failures = 0
        for (const key of found) this.found(key)
      } catch (error) {
        if (this.stopped) break
        if (isRefused(error)) await this.sortOut()
        // The link tells of lost connections once for all; here it is only tried again.
        await sleep(this.link.clock, Math.min(50 * 2 ** failures++, 2000) * (0.75 + Math.random() / 2))
      }
    }
    this.waitingFor.clear()
  }

  /** Until there is something to wait for: free slots, or a wake key that may be well again. */
  private async parked(): Promise<void> {
    const { clock } = this.link
    const timer = this.sick.isEmpty ? undefined : clock.setTimeout(() => this.nudge?.(), lookAgainMs)
    await new Promise<void>((resolve) => {
      this.nudge = resolve
    })
    this.nudge = undefined
    clock.clearTimeout(timer)
  }

  /** One key that the server refuses must not keep the others' tasks waiting; its own task still claims now and then. */
  private async sortOut(): Promise<void> {
    const keys = [...this.waitingFor].flatMap(wakeKeys)
    try {
      await this.sick.sort(keys, async (key) => {
        for (const found of await this.link.waitForWork([key], 1)) this.found(found)
      })
    } catch {
      // The connection failed meanwhile; the loop tries again.
    }
    for (const slots of this.waitingFor) if (!isWell(slots, this.sick)) slots.claim()
  }

  private found(key: string): void {
    for (const slots of this.waitingFor) if (wakeKeys(slots).includes(key)) slots.claim(true)
  }
}

/** Where workers are woken: all of the task, and those of this version alone. */
function wakeKeys({ keys: { wake, base }, definition: { version } }: Slots): string[] {
  return version > 1 ? [wake, `${base}${version}:wake`] : [wake]
}

function isWell(slots: Slots, sick: SickKeys): boolean {
  return wakeKeys(slots).every((key) => sick.isWell(key))
}
