import { neutrally } from "../model/neutral.ts"
import { Lane } from "../store/lane.ts"
import type { Link } from "../store/link.ts"
import { scripts } from "../store/scripts.ts"

const mostAtOnce = 100

interface Waiting {
  readonly schedule: string
  readonly n: number
  readonly resolve: (mine: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Notes firings as dispatched, those that arrive together in one call. */
export class Acknowledgements {
  private readonly lane: Lane
  private readonly link: Link
  private waiting: Waiting[] = []
  private sending = false

  constructor(link: Link) {
    this.link = link
    this.lane = new Lane(link, "sd")
  }

  /** Resolves to whether it was this call that noted it; of several processes that dispatched one firing, one hears so. */
  add(schedule: string, n: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ schedule, n, resolve, reject })
      if (!this.sending) {
        this.sending = true
        neutrally(() => queueMicrotask(() => void this.send()))
      }
    })
  }

  private async send(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, mostAtOnce)
      const rest = batch.flatMap(({ schedule, n }) => [schedule, n])
      try {
        const { letters, at } = await this.lane.call(scripts.schedule_done, this.link.schedules, {}, rest)
        this.link.heard(at)
        for (const [i, { resolve }] of batch.entries()) resolve(letters[i] === "r")
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.sending = false
  }
}
