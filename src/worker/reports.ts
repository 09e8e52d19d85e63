import type { Progress } from "../model/events.ts"
import { neutrally } from "../model/neutral.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import { scripts } from "../store/scripts.ts"
import { PendingReports } from "./pending-reports.ts"
import type { Run } from "./run.ts"

const mostReports = 100
const mostChars = 1_048_576

interface Report {
  readonly run: Run
  readonly value: string
}

/** Brings reports of progress to the store: those of one turn, and those that come during a call, go together. */
export class Reports {
  private readonly lane: Lane
  /** Runs with reports that are due. */
  private readonly due = new Set<Run>()
  private sending = false

  constructor(
    private readonly core: Core,
    private readonly keys: TaskKeys,
  ) {
    this.lane = new Lane(core.link, "p")
  }

  add(run: Run, value: string): void {
    const { clock } = this.core.link
    run.reports ??= new PendingReports()
    const ms = run.reports.add(value, clock.monotonic())
    if (ms === undefined) return
    if (ms === 0) this.fallDue(run)
    else neutrally(() => clock.setTimeout(() => this.fallDue(run), ms))
  }

  /** A report was stored. */
  told(run: Run, value: string): void {
    if (!this.core.observers.watched) return
    const progress = JSON.parse(value) as Progress
    this.core.observers.transition({ kind: "progress", attempt: run.attempt, progress })
  }

  private fallDue(run: Run): void {
    if (run.ending) return
    run.reports?.fallDue()
    this.due.add(run)
    if (this.sending) return
    this.sending = true
    neutrally(() => void this.send())
  }

  private async send(): Promise<void> {
    await Promise.resolve()
    while (this.due.size > 0) {
      const batch = this.takeBatch()
      for (const { run } of batch) run.hold()
      if (batch.length > 0) await this.sendBatch(batch)
      for (const { run } of batch) run.release()
    }
    this.sending = false
  }

  private takeBatch(): Report[] {
    const now = this.core.link.clock.monotonic()
    const batch: Report[] = []
    let chars = 0
    for (const run of this.due) {
      if (batch.length >= mostReports || chars >= mostChars) break
      this.due.delete(run)
      // What has ended takes its reports along with its outcome.
      if (run.ending) continue
      for (const value of run.reports!.take(now)) {
        batch.push({ run, value })
        chars += value.length
      }
    }
    return batch
  }

  private async sendBatch(batch: readonly Report[]): Promise<void> {
    const { link, events } = this.core
    const args = { instance: link.instance, maxlen: events.maxLength }
    const rest = batch.flatMap(({ run, value }) => [
      run.id,
      run.lease.token,
      run.progressStored ? "0" : "1",
      value,
    ])
    try {
      const reply = await this.lane.call(scripts.progress, this.keys, args, rest)
      batch.forEach(({ run, value }, i) => {
        run.progressStored = true
        if (reply.words[i] === "o") this.told(run, value)
      })
    } catch (error) {
      // The reports are lost, the jobs are not.
      if (!link.closed) this.core.report(error, "script")
    }
  }
}
