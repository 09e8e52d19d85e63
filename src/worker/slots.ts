import { AsyncLocalStorage } from "node:async_hooks"
import { type Definition, retryOf } from "../rules/definition.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import type { ClaimedJob, SettleReply } from "../store/replies.ts"
import { judge, perform, type Stage } from "./attempt.ts"
import { claimedRun } from "./claimed.ts"
import { cleanUp } from "./cleanup.ts"
import { Exchange } from "./exchange.ts"
import { tellExpired } from "./expired.ts"
import {
  cancelReason,
  type Ending,
  lostReason,
  type Run,
  requestReason,
  shutdownReason,
  timeoutReason,
} from "./run.ts"
import type { Seat } from "./seat.ts"
import type { Batch } from "./settlement.ts"
import { tellEnding, tellMissed } from "./tell.ts"
import { Timeouts } from "./timeouts.ts"
import type { TaskVoice } from "./voice.ts"

/** What the slots of one task tell the worker around them. */
export interface SlotsListener {
  /** Slots are free and nothing is there to claim: wait for work. */
  idle(slots: Slots): void
  /** The next delayed job falls due at `at`, server time. */
  due(slots: Slots, at: number): void
}

/** A request that finds no room is heard of at the next renewal. */
const mostEarly = 1000

/** How long a handler may take to heed its abort before it is reported. */
const lateHandlerMs = 1000

/** The slots of one task in this process: claims jobs into free ones, and settles what ended. */
export class Slots {
  readonly keys: TaskKeys
  /** By token: one job can be here twice, as a late handler and as its next attempt. */
  readonly runs = new Map<string, Run>()
  stopping = false
  /** The last transition that this process's own settlements made. */
  lastSeq = 0
  private readonly exchange: Exchange
  private readonly timeouts: Timeouts
  private taken = 0
  /** Slots kept for jobs that this process is dispatching. */
  private kept = 0
  private quiet: (() => void)[] = []
  /** Requests to cancel, by token, for runs that may be in a claim's answer that is still to come. */
  private readonly early = new Map<string, string | undefined>()

  constructor(
    readonly definition: Definition,
    private readonly around: {
      readonly core: Core
      readonly stage: Stage
      readonly voice: TaskVoice
      readonly listener: SlotsListener
    },
  ) {
    const { core } = around
    this.keys = core.link.keys(definition.name)
    this.timeouts = new Timeouts(this, core.link.clock)
    this.exchange = new Exchange(core, this)
  }

  get freeSlots(): number {
    const used = this.taken + this.kept + this.exchange.asked
    return this.stopping ? 0 : Math.max(0, this.definition.concurrency - used)
  }

  /** Slots in use, and those of them held by handlers whose attempt is over. */
  get use(): { readonly busy: number; readonly abandoned: number } {
    let abandoned = 0
    for (const run of this.runs.values()) if (run.ending && !run.over) abandoned++
    return { busy: this.taken - abandoned, abandoned }
  }

  /** A slot for a job that this process is about to dispatch, if nothing else of the task runs or is to be claimed here. */
  seat(): Seat | undefined {
    if (this.definition.singleton || this.stopping || this.taken + this.kept > 0 || this.exchange.claiming)
      return undefined
    this.kept++
    let begun = false
    return {
      leaseMs: this.definition.leaseMs,
      attempts: retryOf(this.definition).attempts,
      begin: (job, { at, seq }) => {
        begun = true
        this.kept--
        this.lastSeq = Math.max(this.lastSeq, seq)
        this.begin([job], at)
      },
      end: () => {
        if (!begun) {
          this.kept--
          // Others may wait before it; another launch must not take the slot from them.
          this.claim()
        } else if (this.freeSlots > 0) this.around.listener.idle(this)
        this.calmed()
      },
    }
  }

  /** Claims for the free slots. `woken`: a marker was taken, which is given back if jobs are left. */
  claim(woken = false): void {
    this.exchange.claim(woken)
  }

  /** Ends a run from outside. Without a settlement where the lease is lost. */
  lose(run: Run): void {
    if (!run.end({ kind: "lost" }, this.elapsed(run))) return
    run.abort(lostReason(run))
    tellEnding(run, { word: "l", at: 0, reason: undefined }, this.around.core, this.definition)
    this.forget(run)
  }

  /** Cancels a run: aborts it, lets `onCancel` clean up, and settles without waiting for the handler. */
  async cancel(run: Run, reason: string | undefined): Promise<void> {
    if (!run.end({ kind: "cancelled", reason }, this.elapsed(run))) return
    run.settling = true
    run.abort(cancelReason(run, reason))
    await cleanUp(run, this.definition, this.around)
    this.exchange.settle(run)
  }

  /** Somebody asks for the run of this token to be cancelled; every worker of the task hears it. */
  requested(token: string, reason: string | undefined): void {
    const run = this.runs.get(token)
    if (run) void this.cancel(run, requestReason(reason))
    else if (this.exchange.asked + this.kept > 0 && this.early.size < mostEarly) this.early.set(token, reason)
  }

  /** Ends a run that took too long; the handler may go on, in its slot. */
  timeOut(run: Run): void {
    const { timeoutMs } = this.definition
    const reason = timeoutReason(run, timeoutMs)
    if (!run.end(judge(reason, run, this.definition), timeoutMs)) return
    run.abort(reason)
    this.exchange.settle(run)
  }

  /** Hands every run back to the front of its queue. */
  release(): void {
    for (const run of this.runs.values()) {
      if (!run.end({ kind: "released" }, this.elapsed(run))) continue
      run.abort(shutdownReason(run))
      this.exchange.settle(run)
    }
  }

  /** Resolves when every settlement has been answered and no handler runs (those that ignore an abort apart). */
  async drained(): Promise<void> {
    while (!this.isQuiet) await new Promise<void>((resolve) => this.quiet.push(resolve))
  }

  dispose(): void {
    this.timeouts.dispose()
  }

  /** The store has answered: begins what was claimed, tells and forgets what was settled. */
  answered(batch: Batch, reply: SettleReply, asked: number): void {
    const { core } = this.around
    core.link.heard(reply.at)
    this.lastSeq = Math.max(this.lastSeq, reply.seq)
    this.begin(reply.claimed, reply.at)
    tellExpired(reply.expired, reply.at, { core, task: this.definition.name })
    let cancelled = 0
    batch.items.forEach(({ run, progress }, i) => {
      const word = reply.words[i]!
      if (progress !== undefined) {
        if (word === "p") this.around.voice.told(run, progress)
        return
      }
      run.reports?.clear()
      const reason = word === "x" ? requestReason(reply.reasons[cancelled++]) : undefined
      tellEnding(run, { word, at: reply.at, reason }, core, this.definition)
      if (run.lease.node && "cfx".includes(word)) core.nodeEnded(this.definition.name, run.id)
      this.settled(run)
    })
    if (reply.due > 0) this.around.listener.due(this, reply.due)
    if (reply.more && this.freeSlots > 0) this.claim()
    else if (reply.claimed.length < asked || this.freeSlots > 0) this.around.listener.idle(this)
  }

  /** The server refused a run's settlement for good: recovery will find it. */
  abandoned(run: Run): void {
    tellEnding(run, { word: "l", at: 0, reason: undefined }, this.around.core, this.definition)
    run.settling = false
    this.forget(run)
  }

  /** A call of the exchange has ended, or a run has gone. */
  calmed(): void {
    if (!this.isQuiet) return
    const quiet = this.quiet
    this.quiet = []
    for (const resolve of quiet) resolve()
  }

  private get isQuiet(): boolean {
    if (!this.exchange.idle || this.kept > 0) return false
    for (const run of this.runs.values()) if (!run.ending || run.settling) return false
    return true
  }

  private elapsed(run: Run): number {
    return this.around.core.link.clock.monotonic() - run.startedAt
  }

  private begin(claimed: readonly ClaimedJob[], at: number): void {
    const { core } = this.around
    const around = {
      definition: this.definition,
      worker: core.link.instance,
      now: core.link.clock.monotonic(),
      measured: core.observers.watched,
    }
    for (const job of claimed) {
      if (job.record === "") {
        tellMissed(job.id, at, { core, definition: this.definition })
        continue
      }
      const run = claimedRun(job, around)
      this.runs.set(run.lease.token, run)
      this.taken++
      if (this.stopping) {
        core.observers.attempt(run.attempt, () =>
          core.observers.transition({ kind: "active", attempt: run.attempt }),
        )
        run.end({ kind: "released" }, 0)
        this.over(run)
        this.exchange.settle(run)
      } else {
        this.launch(run)
        if (this.early.has(run.lease.token)) this.requested(run.lease.token, this.early.get(run.lease.token))
      }
    }
    if (this.exchange.asked + this.kept === 0) this.early.clear()
    this.timeouts.watch()
  }

  private launch(run: Run): void {
    const { core, stage } = this.around
    const performed = core.observers.attempt(run.attempt, () => {
      if (core.observers.watched) core.observers.transition({ kind: "active", attempt: run.attempt })
      if (this.definition.onCancel) run.enter = AsyncLocalStorage.snapshot()
      return perform(run, stage)
    })
    void performed.then((ending) => this.ended(run, ending))
  }

  private ended(run: Run, ending: Ending): void {
    const elapsed = this.elapsed(run)
    this.over(run)
    if (run.end(ending, elapsed)) {
      this.exchange.settle(run)
    } else if (!run.settling) {
      // A handler that went on after its attempt was settled is done at last, and gives its slot back.
      this.forget(run)
      this.claim()
    }
  }

  private over(run: Run): void {
    run.over = true
    this.taken--
  }

  private settled(run: Run): void {
    run.settling = false
    if (run.over) {
      this.forget(run)
      return
    }
    const { link } = this.around.core
    link.clock.setTimeout(() => this.reportLate(run), lateHandlerMs)
  }

  private reportLate(run: Run): void {
    const { core } = this.around
    if (run.over || core.link.closed) return
    const { task, id } = run.attempt
    const message = `the handler of job ${id} of task "${task}" goes on after its attempt was settled; its slot stays taken`
    core.report(new Error(message), "other")
  }

  private forget(run: Run): void {
    if (run.over) this.runs.delete(run.lease.token)
    this.calmed()
  }
}
