import type { Timer } from "../model/clock.ts"
import { neutrally } from "../model/neutral.ts"
import { type Definition, retryOf } from "../rules/definition.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import type { ClaimedJob, SettleReply } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import type { Run } from "./run.ts"
import { type Batch, takeBatch } from "./settlement.ts"

/** The slots that an exchange serves. */
export interface ExchangeHost {
  readonly definition: Definition
  readonly keys: TaskKeys
  /** Slots that neither hold a run nor are asked for. */
  readonly freeSlots: number
  /** `asked`: how many jobs the call would have taken. */
  answered(batch: Batch, reply: SettleReply, asked: number): void
  /** The server refused this run's settlement too often; its lease is left to recovery. */
  abandoned(run: Run): void
  /** A call has ended. */
  calmed(): void
}

const lanes = 2
const worthHalving = 8
const mostClaimed = 100
/** What the jobs of one claim should weigh at the most, characters. */
const claimChars = 4_194_304
const refusedTries = 8
const longestPauseMs = 5000

/** Brings outcomes of one task to the store and jobs back: what ended in one turn of the event loop goes in one call. */
export class Exchange {
  /** Jobs that calls under way have asked for. */
  asked = 0
  private readonly free: Lane[]
  private outcomes: Run[] = []
  private scheduled = false
  private claimAgain = false
  private woken = false
  private inFlight = 0
  private mostWanted = mostClaimed
  /** How often in a row the server refused a call. */
  private refusals = 0
  /** Runs whose settlement was refused, until it is tried again. */
  private again: Run[] = []
  /** Set while a refused call waits to be tried again; nothing is claimed meanwhile. */
  private pause: Timer | undefined

  constructor(
    private readonly core: Core,
    private readonly host: ExchangeHost,
  ) {
    this.free = Array.from({ length: lanes }, (_, i) => new Lane(core.link, `s${i}`))
  }

  get idle(): boolean {
    // A marker that was taken is given back by a claim that is still to come, or not before a pause is over.
    const woken = this.woken && this.pause === undefined
    return this.inFlight === 0 && this.outcomes.length === 0 && !woken
  }

  /** Jobs are claimed, or will be with the next call, or may not be for now. */
  get claiming(): boolean {
    const soon = this.claimAgain || this.woken || this.outcomes.length > 0
    return this.asked > 0 || soon || this.pause !== undefined
  }

  /** Claims for the free slots. `woken`: a marker was taken, which is given back if jobs are left. */
  claim(woken = false): void {
    this.claimAgain = true
    this.woken ||= woken
    this.schedule()
  }

  settle(run: Run): void {
    run.settling = true
    // Progress and logs under way must be stored before the outcome that fences them off.
    run.whenSaid(() => this.add(run))
  }

  private add(run: Run): void {
    this.outcomes.push(run)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled || this.free.length === 0) return
    this.scheduled = true
    neutrally(() => setImmediate(() => this.flush()))
  }

  private flush(): void {
    this.scheduled = false
    const lane = this.free.at(-1)
    if (!lane) return
    // With both lanes free, two half batches keep the store busy while this process decodes and encodes.
    const share = this.free.length === lanes && this.outcomes.length >= worthHalving ? 2 : 1
    const most = Math.ceil(this.outcomes.length / share)
    const claims = this.pause === undefined
    const want = claims ? Math.min(Math.ceil(this.host.freeSlots / share), this.mostWanted) : 0
    const woken = claims && this.woken
    const worthClaiming = woken || (this.claimAgain && want > 0)
    if (this.outcomes.length === 0 && !worthClaiming) return
    this.free.pop()
    if (claims) {
      this.claimAgain = false
      this.woken = false
    }
    this.asked += want
    this.inFlight++
    void this.exchange(lane, takeBatch(this.outcomes, most), { want, woken })
    if (this.outcomes.length > 0) this.schedule()
  }

  private async exchange(lane: Lane, batch: Batch, ask: { want: number; woken: boolean }): Promise<void> {
    try {
      const reply = await this.call(lane, batch, ask).finally(() => {
        this.asked -= ask.want
      })
      this.refusals = 0
      this.weigh(reply.claimed)
      this.host.answered(batch, reply, ask.want)
    } catch (error) {
      this.refused(batch, error)
    } finally {
      this.free.push(lane)
      this.inFlight--
      if (this.outcomes.length > 0 || this.woken || (this.claimAgain && this.host.freeSlots > 0))
        this.schedule()
      this.host.calmed()
    }
  }

  /** Heavy jobs are claimed a few at a time, so that no call takes long. */
  private weigh(claimed: readonly ClaimedJob[]): void {
    if (claimed.length === 0) return
    let chars = 0
    for (const { record, data } of claimed) chars += record.length + (data?.length ?? 0)
    const each = chars / claimed.length
    this.mostWanted = Math.max(1, Math.min(mostClaimed, Math.floor(claimChars / each)))
  }

  private call(lane: Lane, batch: Batch, ask: { want: number; woken: boolean }): Promise<SettleReply> {
    const { link, events } = this.core
    const { definition, keys } = this.host
    const args = {
      instance: link.instance,
      want: ask.want,
      woken: ask.woken ? 1 : 0,
      singleton: definition.singleton ? 1 : 0,
      lease: definition.leaseMs,
      attempts: retryOf(definition).attempts,
      keepCompleted: definition.retention.completed.maxItems,
      keepFailed: definition.retention.failed.maxItems,
      maxlen: events.maxLength,
      inline: events.inlineBytes,
      version: definition.version,
    }
    return lane.call(scripts.settle, keys, args, batch.args)
  }

  /** The server would not take the batch. The leases are kept while it is tried again, then left to recovery. */
  private refused(batch: Batch, error: unknown): void {
    const { link, report } = this.core
    if (link.closed) {
      for (const run of batch.runs) run.settling = false
      return
    }
    report(error, "script")
    this.refusals++
    for (const run of batch.runs) {
      if (++run.refusals >= refusedTries) this.host.abandoned(run)
      else this.again.push(run)
    }
    // One pause for all: a timer for each refused call would add up to a storm of claims.
    this.pause ??= link.clock.setTimeout(
      () => {
        this.pause = undefined
        this.outcomes.push(...this.again.splice(0))
        this.claim()
      },
      Math.min(100 * 2 ** this.refusals, longestPauseMs) * (0.75 + Math.random() / 2),
    )
  }
}
