import type { Timer } from "../model/clock.ts"
import type { TaskoraError } from "../model/errors.ts"
import type { Core } from "../store/core.ts"
import { closedError, storeFailure } from "../store/failure.ts"
import { Lane } from "../store/lane.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import { traceToStore } from "./context.ts"
import { lostReason, type Run, requestReason } from "./run.ts"
import type { Slots } from "./slots.ts"

const batchMost = 300

/** Keeps the leases of one task's runs, 300 in one call, every third of the lease; learns what was lost or cancelled. */
export class Leases {
  private readonly lane: Lane
  private timer: Timer | undefined
  private call: Promise<void> | undefined
  private disposed = false
  /** Runs that are to be renewed by the next call, however lately they were. */
  private readonly asked = new Set<Run>()
  /** Why the last call that failed did. */
  private failure: unknown

  constructor(
    private readonly slots: Slots,
    private readonly core: Core,
  ) {
    this.lane = new Lane(core.link, "r")
  }

  /** Begins the turns; begun twice, they are still one chain. */
  start(): void {
    if (this.disposed) return
    const { clock } = this.core.link
    clock.clearTimeout(this.timer)
    const turn = () => void this.renew().finally(() => this.start())
    this.timer = clock.setTimeout(turn, this.slots.definition.leaseMs / 3, false, true)
  }

  dispose(): void {
    this.disposed = true
    this.core.link.clock.clearTimeout(this.timer)
  }

  /** Renews what is due. Calls that come while one is under way share the next one. */
  async renew(all = false): Promise<void> {
    while (this.call) await this.call
    const runs = this.due(all)
    if (runs.length === 0 || this.core.link.closed) return
    this.call = this.renewAll(runs).finally(() => {
      this.call = undefined
    })
    await this.call
  }

  /** Renews one run now. @throws LeaseLostError where it is lost, TaskoraError where the store did not renew it */
  async renewNow(run: Run): Promise<void> {
    const { clock } = this.core.link
    const askedAt = clock.monotonic()
    this.asked.add(run)
    await this.renew()
    this.asked.delete(run)
    if (run.ending?.kind === "lost") throw lostReason(run)
    // Where its attempt has ended meanwhile, there was nothing to renew.
    if (run.leasedAt < askedAt) throw run.ending ? lostReason(run) : this.notRenewed(run)
  }

  private notRenewed(run: Run): TaskoraError {
    const { failure } = this
    if (this.core.link.closed) return closedError()
    const what = `the lease of job ${run.id} of task "${run.attempt.task}" was not renewed: ${failure}`
    const fate = failure instanceof StoreError ? failure.fate : "refused"
    return storeFailure(new StoreError(what, fate, { cause: failure }))
  }

  private due(all: boolean): Run[] {
    const { clock } = this.core.link
    // A run that was claimed or renewed a moment ago can wait for the next turn.
    const before = clock.monotonic() - this.slots.definition.leaseMs / 6
    const runs: Run[] = []
    for (const run of this.slots.runs.values()) {
      if (isHeld(run) && (all || run.leasedAt <= before || this.asked.has(run))) runs.push(run)
    }
    return runs
  }

  private async renewAll(runs: readonly Run[]): Promise<void> {
    for (let i = 0; i < runs.length && !this.core.link.closed; i += batchMost) {
      const batch = runs.slice(i, i + batchMost).filter(isHeld)
      if (batch.length > 0) await this.renewRuns(batch)
    }
  }

  private async renewRuns(runs: readonly Run[]): Promise<void> {
    const { link } = this.core
    // The answer may take long; the lease begins before it, and a heartbeat asked for meanwhile is not answered by it.
    const sentAt = link.clock.monotonic()
    for (const run of runs) this.asked.delete(run)
    const rest = runs.flatMap((run) => {
      const trace = traceToStore(run)
      return [run.id, run.lease.token, trace]
    })
    try {
      const reply = await this.lane.call(
        scripts.renew,
        this.slots.keys,
        { lease: this.slots.definition.leaseMs },
        rest,
      )
      link.heard(reply.at)
      let asked = 0
      runs.forEach((run, i) => {
        const word = reply.words[i]
        if (word === "l") {
          this.slots.lose(run)
          return
        }
        run.leasedAt = sentAt
        run.traceStored = run.attempt.trace !== undefined
        if (word === "x") {
          void this.slots.cancel(run, requestReason(reply.reasons[asked++]))
        }
      })
    } catch (error) {
      this.failure = error
      // Tried again at the next turn; if that is too late, recovery decides.
      if (!link.closed) this.core.report(error, "script")
    }
  }
}

function isHeld(run: Run): boolean {
  return !run.ending || run.settling
}
