import { patienceMs, writeFailure } from "./manage/write-failure.ts"
import type { Core } from "./store/core.ts"
import { scripts } from "./store/scripts.ts"
import { Turns } from "./store/turns.ts"

/** Pauses tasks and lets them go on, one call at a time for each task. */
export class Pauser {
  private readonly turns: Turns

  constructor(
    private readonly core: Core,
    private readonly ready: () => Promise<void>,
  ) {
    this.turns = new Turns(core.link, "z", patienceMs)
  }

  /** @throws ConnectionError, UnconfirmedError, PermissionError or TaskoraError (`STORE`) where the store did not confirm it */
  async set(task: string, paused: boolean): Promise<void> {
    await this.ready()
    const keys = this.core.link.keys(task)
    try {
      await this.turns.take(task, (lane, patience) =>
        lane.call(scripts.pause, keys, { paused: paused ? 1 : 0 }, [], patience),
      )
    } catch (error) {
      throw writeFailure(error, `task "${task}" was`, paused ? "paused" : "resumed")
    }
  }
}
