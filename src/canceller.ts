import { show } from "./model/duration.ts"
import { ConnectionError, TaskoraError, UnconfirmedError } from "./model/errors.ts"
import { invalid } from "./model/options.ts"
import { tellRemoved } from "./removed.ts"
import { cut } from "./rules/thrown.ts"
import type { Core } from "./store/core.ts"
import { Lane } from "./store/lane.ts"
import type { CancelReply } from "./store/replies.ts"
import { scripts } from "./store/scripts.ts"
import { StoreError } from "./store/store.ts"

const patienceMs = 5000
const mostReasonBytes = 4096

/** Cancels jobs of all tasks, one call at a time for each task. */
export class Canceller {
  private readonly lanes = new Map<string, { readonly lane: Lane; turn: Promise<unknown> }>()

  constructor(
    private readonly core: Core,
    private readonly host: {
      readonly ready: () => Promise<void>
      /** Ended jobs that the task keeps of those that failed or were cancelled. */
      readonly keepFailed: (task: string) => number
    },
  ) {}

  /** A job of which nothing is known has ended long ago. */
  async cancel(task: string, id: string, reason: string | undefined) {
    const word = await this.request(task, id, reason)
    return word === "unknown" ? "finished" : word
  }

  async request(task: string, id: string, reason: string | undefined): Promise<CancelReply["word"]> {
    if (reason !== undefined && typeof reason !== "string")
      throw invalid(`cancel: reason must be text, not ${show(reason)}`)
    await this.host.ready()
    const own = this.lane(task)
    const call = own.turn.then(() =>
      this.call(own.lane, task, { id, reason: reason && cut(reason, mostReasonBytes) }),
    )
    // The next one goes on whatever becomes of this one, whose caller hears of it.
    own.turn = call.catch(() => undefined)
    const reply = await call
    this.tell(task, id, { reply, reason })
    return reply.word
  }

  private lane(task: string) {
    let own = this.lanes.get(task)
    if (!own) {
      own = { lane: new Lane(this.core.link, "c"), turn: Promise.resolve() }
      this.lanes.set(task, own)
    }
    return own
  }

  private async call(
    lane: Lane,
    task: string,
    job: { id: string; reason: string | undefined },
  ): Promise<CancelReply> {
    const { link, events } = this.core
    const keys = link.keys(task)
    const deadline = link.clock.monotonic() + patienceMs
    const leftMs = () => deadline - link.clock.monotonic()
    try {
      return await lane.call(
        scripts.cancel,
        keys,
        {
          instance: link.instance,
          id: job.id,
          reason: job.reason === undefined ? "" : JSON.stringify(job.reason),
          channel: keys.channel,
          keepFailed: this.host.keepFailed(task),
          maxlen: events.maxLength,
        },
        [],
        { leftMs, ended: () => leftMs() <= 0 },
      )
    } catch (error) {
      throw cancelError(error, job.id)
    }
  }

  private tell(
    task: string,
    id: string,
    { reply, reason }: { reply: CancelReply; reason: string | undefined },
  ): void {
    if (reply.state === "") return
    const { at, record, state } = reply
    tellRemoved(this.core, { task, id, at, record, state, ...(reason === undefined ? {} : { reason }) })
  }
}

function cancelError(error: unknown, id: string): TaskoraError {
  if (error instanceof TaskoraError) return error
  if (error instanceof StoreError) {
    if (error.fate === "unanswered")
      return new UnconfirmedError(`the store was lost before it answered; job ${id} was cancelled, or not`, {
        cause: error,
      })
    if (error.fate !== "refused")
      return new ConnectionError(
        `the store could not be reached within ${patienceMs} ms; job ${id} was not cancelled`,
        {
          cause: error,
        },
      )
  }
  return new TaskoraError(`job ${id} could not be cancelled: ${String(error)}`, "STORE", { cause: error })
}
