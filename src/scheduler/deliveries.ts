import { TaskoraError } from "../model/errors.ts"
import { neutrally } from "../model/neutral.ts"
import type { Dispatch } from "../model/observer.ts"
import { firingId, type ScheduleDefinition } from "../rules/schedule.ts"
import type { Core } from "../store/core.ts"
import { encodeHeaders } from "../store/headers.ts"
import type { Firing } from "../store/schedule.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import { Acknowledgements } from "./acknowledgements.ts"

/** A firing on its way, and what is told of it when it has arrived. */
interface Parcel {
  readonly schedule: string
  readonly definition: ScheduleDefinition
  readonly firing: Firing
}

/**
 * Dispatches what was taken. Several processes may dispatch the same firing, for whoever took it may be gone: the receipt
 * lane is the schedule's own, and its number the firing's, so the task's keys take each but once, even when its job has
 * ended and left no record. That number rises from firing to firing, so those of a schedule go in their order: a firing
 * that is answered "stale" has been dispatched by somebody else.
 */
export class Deliveries {
  private readonly chains = new Map<string, Promise<boolean>>()
  private readonly inHand = new Map<string, Set<number>>()
  private readonly acknowledgements: Acknowledgements

  constructor(
    private readonly core: Core,
    private readonly host: {
      /** Resolves when tasks are registered and calls can be sent. */
      readonly ready: () => Promise<void>
      readonly arrived: (schedule: string, n: number) => void
      readonly failed: (schedule: string) => void
    },
  ) {
    this.acknowledgements = new Acknowledgements(core.link)
  }

  /** Whether this process is dispatching the firing already. */
  has(schedule: string, { n }: Firing): boolean {
    return this.inHand.get(schedule)?.has(n) ?? false
  }

  /**
   * Dispatches firings of one schedule, in order, behind those that are under way. Where one fails, those behind it wait with
   * it for another call. Never rejects.
   */
  async deliver(schedule: string, definition: ScheduleDefinition, open: readonly Firing[]): Promise<void> {
    const inHand = this.inHand.get(schedule) ?? new Set<number>()
    this.inHand.set(schedule, inHand)
    let chain = this.chains.get(schedule) ?? Promise.resolve(true)
    for (const firing of open) {
      if (inHand.has(firing.n)) continue
      inHand.add(firing.n)
      chain = chain.then(async (well) => {
        const delivered = well && (await this.deliverOne({ schedule, definition, firing }))
        inHand.delete(firing.n)
        return delivered
      })
    }
    this.chains.set(schedule, chain)
    await chain
    if (this.chains.get(schedule) !== chain) return
    this.chains.delete(schedule)
    this.inHand.delete(schedule)
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.chains.values()])
  }

  private async deliverOne(parcel: Parcel): Promise<boolean> {
    const { schedule, firing } = parcel
    const dispatches = firing.slots.map((slot) => facts(parcel, slot))
    try {
      await this.host.ready()
      const answer = await this.enqueue(parcel, dispatches)
      const mine = await this.acknowledgements.add(schedule, firing.n)
      this.host.arrived(schedule, firing.n)
      this.tell(parcel, dispatches, mine ? answer.at : undefined)
      return true
    } catch (error) {
      this.host.failed(schedule)
      this.failed(dispatches, error)
      return false
    }
  }

  private async enqueue(
    { schedule, definition, firing }: Parcel,
    dispatches: readonly Dispatch[],
  ): Promise<{ readonly at: number }> {
    const { link, observers } = this.core
    const keys = link.keys(definition.task)
    const rest = dispatches.flatMap((dispatch) => {
      // From nobody's context: a firing begins a trace.
      const headers = neutrally(() => observers.dispatching(dispatch))
      const own = Array.isArray(headers) ? headers[0] : headers
      return [dispatch.id!, definition.options, `${encodeHeaders(own, undefined)}\n${definition.data}`]
    })
    const args = { base: keys.base, lane: `schedule:${schedule}`, n: firing.n }
    for (let tries = 0; ; tries++) {
      try {
        const reply = await link.run(scripts.enqueue, keys, args, rest)
        if (reply === "stale") return { at: link.serverNow() }
        link.heard(reply.at)
        return reply
      } catch (error) {
        if (!(error instanceof StoreError) || error.fate === "refused" || link.closed) throw error
        await link.untilUsable(tries)
        if (link.closed) throw error
      }
    }
  }

  /** `at`: when this process dispatched it, server time; undefined where another one did. */
  private tell(parcel: Parcel, dispatches: readonly Dispatch[], at: number | undefined): void {
    const { schedule, definition, firing } = parcel
    const { observers } = this.core
    const bytes = Buffer.byteLength(definition.data)
    for (const [i, dispatch] of dispatches.entries()) {
      const [stored, duplicates] = at === undefined ? [0, 1] : [1, 0]
      const payloadBytes = at === undefined ? [] : [bytes]
      observers.transition({ kind: "dispatched", dispatch, stored, duplicates, payloadBytes })
      if (at === undefined) continue
      const slot = firing.slots[i]!
      const lateMs = Math.max(0, at - (i === 0 ? Math.max(slot, firing.due) : slot))
      const { task } = dispatch
      observers.transition({ kind: "schedule fired", schedule, task, id: dispatch.id!, slot, lateMs })
    }
  }

  /** It stays open: the scheduler comes back to it, here or elsewhere. */
  private failed(dispatches: readonly Dispatch[], thrown: unknown): void {
    const { observers, link } = this.core
    const error = thrown instanceof Error ? thrown : new TaskoraError(String(thrown), "STORE")
    const reason = /\bOOM\b/.test(error.message) ? "store_full" : link.closed ? "connection" : "other"
    for (const dispatch of dispatches)
      observers.transition({ kind: "rejected", dispatch, count: 1, reason, error })
    if (!link.closed) this.core.report(error, "dispatch")
  }
}

function facts({ schedule, definition }: Parcel, slot: number): Dispatch {
  return {
    task: definition.task,
    id: firingId(schedule, slot),
    count: 1,
    many: false,
    delayMs: 0,
    priority: 0,
    schedule,
  }
}
