import type { Backlog, Pending } from "./backlog.ts"
import { dispatchError } from "./dispatch-errors.ts"
import { UnconfirmedError } from "./model/errors.ts"
import type { Core } from "./store/core.ts"
import type { TaskKeys } from "./store/keys.ts"
import { Lane, type Patience } from "./store/lane.ts"
import { hasDataApart } from "./store/record.ts"
import type { LaunchReply } from "./store/replies.ts"
import { scripts } from "./store/scripts.ts"
import type { Seat } from "./worker/seat.ts"

/**
 * Stores a plain job that comes alone, and claims it in the same call, where this process has slots for its task and
 * nothing to do in them. It would most likely be the first to claim it; so it saves a round trip and a wake-up.
 */
export class Launcher {
  private readonly lane: Lane
  private busy = false

  constructor(
    private readonly keys: TaskKeys,
    private readonly around: {
      readonly core: Core
      readonly backlog: Backlog
      readonly seat: () => Seat | undefined
      /** Resolves when calls can be sent. */
      readonly begun: (job: Pending) => Promise<Patience>
    },
  ) {
    this.lane = new Lane(around.core.link, "l0")
  }

  /** Whether the job is on its way now. If not, it must be stored like any other. */
  launch(job: Pending): boolean {
    const seat = this.busy || job.options !== "" ? undefined : this.around.seat()
    if (!seat) return false
    this.busy = true
    void this.send(job, seat).finally(() => {
      seat.end()
      this.busy = false
    })
    return true
  }

  private async send(job: Pending, seat: Seat): Promise<void> {
    const { core, backlog, begun } = this.around
    const { link, events } = core
    const { id, body } = job
    const { leaseMs: lease, attempts } = seat
    const args = { instance: link.instance, lease, attempts, maxlen: events.maxLength, asking: 0, id, body }
    let isUncertain = false
    try {
      const patience = await begun(job)
      const reply = await this.lane.call(scripts.launch, this.keys, args, [], patience)
      link.heard(reply.at)
      job.stored({ enqueued: true, at: reply.at })
      this.begin(job, reply, seat)
    } catch (error) {
      const reason = dispatchError(error, 1, core)
      isUncertain = reason instanceof UnconfirmedError
      job.refused(reason)
    } finally {
      backlog.remove([job])
    }
    // Its dispatcher was told that nothing is known of it. If it is there, and leased to this process, it should run now
    // and not when its lease is over. If it is not, the question keeps it from being stored later.
    if (!isUncertain) return
    const question = { ...args, asking: 1, body: "" }
    await this.lane.repeat(scripts.launch, this.keys, question, []).then(
      (reply) => this.begin(job, reply, seat),
      // The app was closed, or the store refuses the question: recovery finds the job.
      () => undefined,
    )
  }

  /** Throws nothing: the job is stored, whatever becomes of its run here. */
  private begin({ id, body }: Pending, reply: LaunchReply, seat: Seat): void {
    const { record } = reply
    if (record === undefined) return
    const data = hasDataApart(record) ? body.slice(body.indexOf("\n") + 1) : undefined
    try {
      seat.begin({ id, record, data }, reply)
    } catch (error) {
      this.around.core.report(error, "script")
    }
  }
}
