import { neutrally } from "../model/neutral.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import { scripts } from "../store/scripts.ts"
import { fullLine, mostLogBytes, mostLogLines } from "./log-line.ts"
import type { Run } from "./run.ts"

const batchMost = 100

/** Brings log lines to the store, one run's in a call. A run is held until its own have been stored. */
export class Logs {
  private readonly lane: Lane
  private readonly waiting = new Map<Run, string[]>()
  private sending = false

  constructor(
    private readonly core: Core,
    private readonly keys: TaskKeys,
  ) {
    this.lane = new Lane(core.link, "l")
  }

  add(run: Run, line: string): void {
    const lines = this.waiting.get(run)
    if (lines) {
      lines.push(line)
      return
    }
    run.hold()
    this.waiting.set(run, [line])
    if (this.sending) return
    this.sending = true
    neutrally(() => void this.send())
  }

  private async send(): Promise<void> {
    await Promise.resolve()
    for (let run = this.next(); run; run = this.next()) {
      const lines = this.waiting.get(run)!
      const batch = lines.splice(0, batchMost)
      const isLast = lines.length === 0
      this.waiting.delete(run)
      // The rest goes after the others' lines.
      if (!isLast) this.waiting.set(run, lines)
      await this.sendBatch(run, batch)
      if (isLast) run.release()
    }
    this.sending = false
  }

  /** Whose lines go next: those of a run whose outcome waits for them, else those that have waited longest. */
  private next(): Run | undefined {
    for (const run of this.waiting.keys()) if (run.settling) return run
    return this.waiting.keys().next().value
  }

  private async sendBatch(run: Run, batch: readonly string[]): Promise<void> {
    const args = {
      id: run.id,
      token: run.lease.token,
      lines: mostLogLines,
      bytes: mostLogBytes,
      full: fullLine,
    }
    try {
      await this.lane.call(scripts.log, this.keys, args, batch)
    } catch (error) {
      // The lines are lost, the job is not.
      if (!this.core.link.closed) this.core.report(error, "script")
    }
  }
}
