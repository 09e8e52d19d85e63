import type { Core } from "./store/core.ts"
import { storeFailure } from "./store/failure.ts"
import { Lane } from "./store/lane.ts"
import { scripts } from "./store/scripts.ts"

const patienceMs = 5000

/** Pauses tasks and lets them go on, one call at a time for each task. */
export class Pauser {
  private readonly lanes = new Map<string, { readonly lane: Lane; turn: Promise<unknown> }>()

  constructor(
    private readonly core: Core,
    private readonly ready: () => Promise<void>,
  ) {}

  /** @throws ConnectionError, UnconfirmedError, PermissionError or TaskoraError (`STORE`) where the store did not confirm it */
  async set(task: string, paused: boolean): Promise<void> {
    await this.ready()
    const own = this.lanes.get(task) ?? { lane: new Lane(this.core.link, "z"), turn: Promise.resolve() }
    this.lanes.set(task, own)
    const call = own.turn.then(() => this.call(own.lane, task, paused))
    // The next one goes on whatever becomes of this one, whose caller hears of it.
    own.turn = call.catch(() => undefined)
    await call
  }

  private async call(lane: Lane, task: string, paused: boolean): Promise<void> {
    const { link } = this.core
    const deadline = link.clock.monotonic() + patienceMs
    const leftMs = () => deadline - link.clock.monotonic()
    try {
      await lane.call(scripts.pause, link.keys(task), { paused: paused ? 1 : 0 }, [], {
        leftMs,
        ended: () => leftMs() <= 0,
      })
    } catch (error) {
      throw storeFailure(error)
    }
  }
}
