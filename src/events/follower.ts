import type { Timer } from "../model/clock.ts"
import { type Deferred, deferred } from "../model/deferred.ts"
import { TaskoraError } from "../model/errors.ts"
import { type TaskEventName, type TaskEvents, taskEventNames } from "../model/events.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { decodeRecord, type JobRecord } from "../store/record.ts"
import type { FetchReply } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import { decodeEntry, entryTime, type StreamEvent, unfold } from "../store/stream.ts"
import type { Delivery } from "./delivery.ts"
import { Emitter } from "./emitter.ts"
import { cancelled, endsJob, expired, failed, gone, mayEndJob, storedError } from "./endings.ts"
import type { EventHub, Follower } from "./hub.ts"
import { persist } from "./persist.ts"

export interface FollowedJob {
  readonly task: string
  readonly id: string
  /** When it was stored, server time, and the job that is to be followed instead, if any; rejects where it was not. */
  stored(): Promise<{ readonly id: string; readonly at: number }>
}

const pageSize = 100
/** How long after a job's expiry, and how often from then on, it is asked whether it was discarded. */
const discardedAfterMs = 1000
const lookEveryMs = 5000

/** Follows one job from its dispatch on: tells its events, and settles a promise with its end. */
export class JobFollower implements Follower {
  id: string
  private readonly emitter: Emitter<TaskEvents>
  private following = false
  private begun = false
  private caughtUp = false
  /** Events were lost while the past was being read. */
  private unsure = false
  private readonly early: Delivery[] = []
  private heard = 0
  /** What ended the job up to this transition was an earlier life's end. */
  private alive = 0
  private over = false
  private outcome: Deferred<unknown> | undefined
  private timer: Timer | undefined

  constructor(
    private job: FollowedJob,
    private readonly around: { readonly core: Core; readonly hub: EventHub; readonly codec: Codec },
  ) {
    this.id = job.id
    this.emitter = new Emitter(taskEventNames, {
      failed: (error) => around.core.report(error, "listener"),
      changed: () => this.listenersChanged(),
    })
  }

  /** Whether a listener added now gets the events from the dispatch on; afterwards it takes a new follower. */
  get takesListeners(): boolean {
    return !this.begun && !this.over
  }

  on<K extends TaskEventName>(
    name: K,
    listener: (payload: TaskEvents[K], meta: never) => unknown,
  ): () => void {
    return this.emitter.on(name, listener)
  }

  /** The job's result; the same promise each time. */
  result(): Promise<unknown> {
    if (!this.outcome) {
      this.outcome = deferred()
      this.follow()
    }
    return this.outcome.promise
  }

  hear(delivery: Delivery): void {
    if (!this.caughtUp) {
      this.early.push(delivery)
      return
    }
    if (delivery.meta.seq <= this.heard || this.over) return
    this.heard = delivery.meta.seq
    this.emitter.emit(delivery.name, delivery.payload as never, delivery.meta)
    if (delivery.meta.seq > this.alive) this.conclude(delivery)
  }

  missed(event: StreamEvent, error: Error): void {
    if (this.over || !mayEndJob(event)) return
    this.fail(error)
  }

  lookAgain(): void {
    if (this.over) return
    // While the past is being read, its end is looked at anyway.
    if (!this.caughtUp) {
      this.unsure = true
      return
    }
    this.settleFromStore().catch((error: Error) => this.fail(error))
  }

  closed(): void {
    this.outcome?.reject(
      new TaskoraError(`the app was closed before job ${this.id} of task "${this.job.task}" ended`, "CLOSED"),
    )
    this.end()
  }

  private listenersChanged(): void {
    if (this.emitter.hasAny() || this.outcome) this.follow()
    else this.end()
  }

  private follow(): void {
    if (this.following || this.over) return
    this.following = true
    this.catchUp().catch((error: Error) => {
      if (this.outcome) this.outcome.reject(error)
      // A job that could not be stored is its dispatch's to tell.
      else if (this.begun && !this.around.core.link.closed) this.around.core.report(error, "other")
      this.end()
    })
  }

  /** Reads live events first and the past after, so that nothing falls between them. */
  private async catchUp(): Promise<void> {
    // Together: a job that was refused is known at once, also where there is no connection to read by.
    const [{ id, at: since }] = await Promise.all([
      this.job.stored(),
      this.around.hub.follow(this.job.task, this),
    ])
    if (id !== this.id && !this.over) await this.turnTo(id)
    this.begun = true
    if (this.over) return
    if (this.emitter.hasAny()) await this.reread(since)
    if (this.outcome && !this.over) {
      const reply = await this.fetch("rs")
      const record = decodeRecord(reply.record)
      if (record) {
        this.settleFrom(record, reply)
        if (!this.over) this.alive = reply.seq
        if (!this.over && record.terms?.discard) this.awaitDiscard(record.terms.expires)
      } else {
        await this.reread(since)
        if (!this.over && !this.early.some(endsJob)) throw gone(this.job)
      }
    }
    this.caughtUp = true
    for (const delivery of this.early.splice(0)) this.hear(delivery)
    if (this.unsure) await this.settleFromStore()
  }

  /** Follows another job, which stands for this one. */
  private async turnTo(id: string): Promise<void> {
    const { hub } = this.around
    const { id: before, task } = this.job
    this.job = { ...this.job, id }
    this.id = id
    await hub.follow(task, this)
    hub.unfollow(task, this, before)
  }

  /** Settles from the job's record where events were lost: its end may have been among them. */
  private async settleFromStore(): Promise<void> {
    const reply = await this.fetch("r")
    if (this.over) return
    const record = decodeRecord(reply.record)
    if (!record) throw gone(this.job)
    this.settleFrom(record, reply)
  }

  /** Of a job that is discarded as it expires nothing is told: whoever waits for it must look. */
  private awaitDiscard(expires: number): void {
    const { clock } = this.around.core.link
    const ms = expires - this.around.core.link.serverNow() + discardedAfterMs
    const look = () => void this.lookForDiscard(expires).catch((error: Error) => this.fail(error))
    this.timer = clock.setTimeout(look, ms > 0 ? ms : lookEveryMs)
  }

  private async lookForDiscard(expires: number): Promise<void> {
    const reply = await this.fetch("r")
    if (this.over) return
    const record = decodeRecord(reply.record)
    if (record) {
      this.settleFrom(record, reply)
      if (!this.over) this.awaitDiscard(expires)
      return
    }
    // It is gone: its end is told, or it was discarded.
    await this.reread((await this.job.stored()).at)
    this.caughtUp = true
    for (const delivery of this.early.splice(0)) this.hear(delivery)
    if (!this.over) this.fail(expired(this.job))
  }

  private fail(error: Error): void {
    this.outcome?.reject(error)
    this.end()
  }

  private async reread(since: number): Promise<void> {
    const { core, hub } = this.around
    const keys = core.link.keys(this.job.task)
    // The end that counts is the last one: a job may have failed, and live again.
    let end: Delivery | undefined
    this.alive = Number.POSITIVE_INFINITY
    for (let from = `${since}-0`; ; ) {
      const page = await persist(core.link, () =>
        core.link.run(scripts.entries, keys, { from, limit: pageSize }),
      )
      for (let i = 0; i < page.length; i += 2) {
        const entry = decodeEntry(page[i + 1]!)
        if (!entry) continue
        for (const event of unfold(entry, entryTime(page[i]!))) {
          if (event.id !== this.id) continue
          if (event.name === "revived") {
            end = undefined
            continue
          }
          try {
            const delivery = await hub.decode(this.job.task, event)
            this.hearPast(delivery)
            if (endsJob(delivery)) end = delivery
          } catch (error) {
            this.missed(event, error as Error)
          }
        }
      }
      if (page.length < pageSize * 2) break
      from = `(${page.at(-2)}`
    }
    this.alive = 0
    if (end && !this.over) this.conclude(end)
  }

  private hearPast(delivery: Delivery): void {
    this.caughtUp = true
    this.hear(delivery)
    this.caughtUp = false
  }

  private conclude(delivery: Delivery): void {
    if (!endsJob(delivery)) return
    const { name, payload } = delivery
    if (name === "completed") {
      if (delivery.meta.resultTruncated) this.outcome?.reject(gone(this.job))
      else this.outcome?.resolve((payload as TaskEvents["completed"]).result)
    } else if (name === "expired") {
      this.outcome?.reject(expired(this.job))
    } else if (name === "cancelled") {
      this.outcome?.reject(cancelled(this.job, (payload as TaskEvents["cancelled"]).reason))
    } else if (this.outcome) {
      const { error } = payload as TaskEvents["failed"]
      const outcome = this.outcome
      this.fetch("").then(
        ({ record }) => outcome.reject(failed(this.job, error, storedError(record, delivery))),
        () => outcome.reject(failed(this.job, error, undefined)),
      )
    }
    this.end()
  }

  private settleFrom(record: JobRecord, reply: FetchReply): void {
    if (record.state === "completed") {
      const text = record.flags.includes("r") ? reply.result : record.outcome
      this.outcome?.resolve(
        this.around.codec.decode(text, `result of job ${this.id} of task "${this.job.task}"`),
      )
    } else if (record.state === "failed") {
      this.outcome?.reject(failed(this.job, undefined, record.outcome))
    } else if (record.state === "expired") {
      this.outcome?.reject(expired(this.job))
    } else if (record.state === "cancelled") {
      this.outcome?.reject(
        cancelled(this.job, record.outcome ? (JSON.parse(record.outcome) as string) : undefined),
      )
    } else {
      return
    }
    this.end()
  }

  private end(): void {
    this.over = true
    this.around.core.link.clock.clearTimeout(this.timer)
    this.around.hub.unfollow(this.job.task, this)
  }

  private fetch(parts: string): Promise<FetchReply> {
    const { link } = this.around.core
    const keys = link.keys(this.job.task)
    return persist(link, () => link.run(scripts.fetch, keys, { base: keys.base, id: this.id, parts }))
  }
}
