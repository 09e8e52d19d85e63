import { firingId } from "../rules/schedule.ts"
import { following, type Plan, plan } from "../rules/slots.ts"
import type { Core } from "../store/core.ts"
import { Lane } from "../store/lane.ts"
import type { ScheduleTickReply } from "../store/schedule.ts"
import { scripts } from "../store/scripts.ts"
import type { Entry } from "./book.ts"
import type { Deliveries } from "./deliveries.ts"

const mostFired = 100
const mostBytes = 1_048_576
/** A call that is not answered for so long is planned anew: what it would fire then may be too old. */
const patienceMs = 2000
/** Letters of the records of jobs that have ended. */
const ended = "cfxe"

/** Takes what is due, and has it dispatched. */
export class Ticks {
  private readonly lane: Lane

  constructor(
    private readonly core: Core,
    private readonly deliveries: Deliveries,
  ) {
    this.lane = new Lane(core.link, "st")
  }

  /** @throws StoreError */
  async tick(due: readonly Entry[]): Promise<void> {
    if (due.length === 0) return
    const { link } = this.core
    const plans = await Promise.all(due.map((entry) => this.planned(entry)))
    const rest = due.flatMap((entry, i) => itemOf(entry, plans[i]!, link.serverNow()))
    const deadline = link.clock.monotonic() + patienceMs
    const leftMs = () => deadline - link.clock.monotonic()
    const patience = { leftMs, ended: () => leftMs() <= 0 }
    const reply = await this.lane.call(scripts.schedule_tick, link.schedules, {}, rest, patience)
    link.heard(reply.at)
    due.forEach((entry, i) => {
      this.answered(entry, plans[i]!, reply.answers[i]!)
    })
  }

  private async planned(entry: Entry): Promise<Plan> {
    const { definition, slots, state } = entry
    const busy = !definition.overlap && (await this.isBusy(entry))
    const most = Math.max(1, Math.min(mostFired, Math.floor(mostBytes / (definition.data.length + 1))))
    return plan(definition, slots, {
      slot: state.next,
      due: state.due,
      now: this.core.link.serverNow(),
      most,
      busy,
    })
  }

  /** Whether the job of the last firing has not ended, or has not even been dispatched. */
  private async isBusy({ name, definition, state }: Entry): Promise<boolean> {
    if (state.open.length > 0) return true
    if (state.slot === 0) return false
    const { link } = this.core
    const keys = link.keys(definition.task)
    const args = { base: keys.base, id: firingId(name, state.slot), parts: "" }
    const { record } = await link.run(scripts.fetch, keys, args)
    return record !== "" && !ended.includes(record[0]!)
  }

  private answered(entry: Entry, planned: Plan, { word, state }: ScheduleTickReply["answers"][number]): void {
    const { observers, link } = this.core
    const { name: schedule, definition } = entry
    entry.seenAt = link.serverNow()
    if (state === undefined) {
      entry.lookAgain = "gone"
      return
    }
    if (state.version !== entry.state.version) entry.lookAgain = "read"
    else entry.state = state
    if (word === "open") void this.deliveries.deliver(schedule, definition, state.open)
    if (word !== "taken") return
    const { missed, skipped, fire } = planned
    if (missed > 0) observers.transition({ kind: "schedule missed", schedule, count: missed })
    if (skipped > 0)
      observers.transition({ kind: "schedule skipped", schedule, reason: "overlap", count: skipped })
    if (fire.length > 0) void this.deliveries.deliver(schedule, definition, state.open)
  }
}

function itemOf(
  { name, definition, slots, state }: Entry,
  { fire, missed, skipped, next }: Plan,
  now: number,
) {
  const then = following(definition, slots, next, now)
  return [
    name,
    state.version,
    state.next,
    then.next,
    then.due,
    fire.join("+"),
    missed,
    skipped,
    definition.overlap ? 1 : 0,
  ]
}
