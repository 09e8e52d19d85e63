import { AsyncLocalStorage } from "node:async_hooks"
import { neutrally } from "../model/neutral.ts"
import type { Definition } from "../rules/definition.ts"
import { retryOf } from "../rules/definition.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import type { SettleReply } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import { judge, perform, type Stage } from "./attempt.ts"
import { claimedRun } from "./claimed.ts"
import { cleanUp } from "./cleanup.ts"
import { cancelReason, type Ending, lostReason, type Run, shutdownReason, timeoutReason } from "./run.ts"
import { type Batch, takeBatch } from "./settlement.ts"
import { tellEnding } from "./tell.ts"
import { Timeouts } from "./timeouts.ts"
import type { TaskVoice } from "./voice.ts"

/** What the slots of one task tell the worker around them. */
export interface SlotsListener {
  /** Slots are free and nothing is there to claim: wait for work. */
  idle(slots: Slots): void
  /** The next delayed job falls due at `at`, server time. */
  due(slots: Slots, at: number): void
}

const lanes = 2
const mostClaimed = 100
const refusedTries = 8

/** The slots of one task in this process: claims jobs into free ones, and settles what ended. */
export class Slots {
  readonly keys: TaskKeys
  /** By token: one job can be here twice, as a late handler and as its next attempt. */
  readonly runs = new Map<string, Run>()
  stopping = false
  /** The last transition that this process's own settlements made. */
  lastSeq = 0
  private readonly free: Lane[]
  private outcomes: Run[] = []
  private taken = 0
  private asked = 0
  private scheduled = false
  private claimAgain = false
  private woken = false
  private readonly timeouts: Timeouts
  private quiet: (() => void)[] = []
  private inFlight = 0

  constructor(
    readonly definition: Definition,
    private readonly around: {
      readonly core: Core
      readonly stage: Stage
      readonly voice: TaskVoice
      readonly listener: SlotsListener
    },
  ) {
    const { link } = around.core
    this.keys = link.keys(definition.name)
    this.timeouts = new Timeouts(this, link.clock)
    this.free = Array.from({ length: lanes }, (_, i) => new Lane(link, `s${i}`))
  }

  get freeSlots(): number {
    return this.stopping ? 0 : Math.max(0, this.definition.concurrency - this.taken - this.asked)
  }

  /** Slots in use, and those of them held by handlers whose attempt is over. */
  get use(): { readonly busy: number; readonly abandoned: number } {
    let abandoned = 0
    for (const run of this.runs.values()) if (run.ending && !run.over) abandoned++
    return { busy: this.taken - abandoned, abandoned }
  }

  /** Claims for the free slots. `woken`: a marker was taken, which is given back if jobs are left. */
  claim(woken = false): void {
    this.claimAgain = true
    this.woken ||= woken
    this.schedule()
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
    this.settle(run)
  }

  /** Ends a run that took too long; the handler may go on, in its slot. */
  timeOut(run: Run): void {
    const { timeoutMs } = this.definition
    const reason = timeoutReason(run, timeoutMs)
    if (!run.end(judge(reason, run, this.definition), timeoutMs)) return
    run.abort(reason)
    this.settle(run)
  }

  /** Hands every run back to the front of its queue. */
  release(): void {
    for (const run of this.runs.values()) {
      if (!run.end({ kind: "released" }, this.elapsed(run))) continue
      run.abort(shutdownReason(run))
      this.settle(run)
    }
  }

  /** Resolves when every settlement has been answered and no handler runs (those that ignore an abort apart). */
  async drained(): Promise<void> {
    while (!this.isQuiet) await new Promise<void>((resolve) => this.quiet.push(resolve))
  }

  dispose(): void {
    this.timeouts.dispose()
  }

  private get isQuiet(): boolean {
    if (this.inFlight > 0 || this.outcomes.length > 0) return false
    for (const run of this.runs.values()) if (!run.ending || run.settling) return false
    return true
  }

  private elapsed(run: Run): number {
    return this.around.core.link.clock.monotonic() - run.startedAt
  }

  private settle(run: Run): void {
    run.settling = true
    if (run.busy) {
      // Progress and logs under way must be stored before the outcome that fences them off.
      run.busy.then(() => this.queueSettlement(run))
      return
    }
    this.queueSettlement(run)
  }

  private queueSettlement(run: Run): void {
    this.outcomes.push(run)
    this.schedule()
  }

  /** Outcomes of one turn of the event loop go together. */
  private schedule(): void {
    if (this.scheduled || this.free.length === 0) return
    this.scheduled = true
    neutrally(() => setImmediate(() => this.flush()))
  }

  private flush(): void {
    this.scheduled = false
    const lane = this.free.at(-1)
    if (!lane) return
    const want = Math.min(this.freeSlots, mostClaimed)
    const worthClaiming = this.woken || (this.claimAgain && want > 0)
    if (this.outcomes.length === 0 && !worthClaiming) return
    this.free.pop()
    const woken = this.woken
    this.claimAgain = false
    this.woken = false
    this.asked += want
    this.inFlight++
    void this.exchange(lane, takeBatch(this.outcomes), { want, woken })
    if (this.outcomes.length > 0) this.schedule()
  }

  private async exchange(lane: Lane, batch: Batch, ask: { want: number; woken: boolean }): Promise<void> {
    const { link, events } = this.around.core
    const { definition, keys } = this
    try {
      const reply = await lane.call(
        scripts.settle,
        keys,
        {
          instance: link.instance,
          want: ask.want,
          woken: ask.woken ? 1 : 0,
          lease: definition.leaseMs,
          attempts: retryOf(definition).attempts,
          keepCompleted: definition.retention.completed.maxItems,
          keepFailed: definition.retention.failed.maxItems,
          maxlen: events.maxLength,
          inline: events.inlineBytes,
        },
        batch.args,
      )
      this.asked -= ask.want
      this.answered(batch, reply, ask)
    } catch (error) {
      this.asked -= ask.want
      this.refused(batch, error)
    } finally {
      this.free.push(lane)
      this.inFlight--
      if (this.outcomes.length > 0 || this.woken || (this.claimAgain && this.freeSlots > 0)) this.schedule()
      this.checkQuiet()
    }
  }

  private answered(batch: Batch, reply: SettleReply, ask: { want: number }): void {
    const { core } = this.around
    core.link.heard(reply.at)
    this.lastSeq = Math.max(this.lastSeq, reply.seq)
    this.begin(reply)
    let cancelled = 0
    batch.items.forEach(({ run, progress }, i) => {
      const word = reply.words[i]!
      if (progress) {
        const value = run.pendingProgress
        run.pendingProgress = undefined
        if (word === "p" && value !== undefined) this.around.voice.told(run, value)
        return
      }
      const reason = word === "x" ? parseReason(reply.reasons[cancelled++]) : undefined
      tellEnding(run, { word, at: reply.at, reason }, core, this.definition)
      this.settled(run)
    })
    if (reply.due > 0) this.around.listener.due(this, reply.due)
    const claimed = reply.claimed.length / 2
    if (reply.more && this.freeSlots > 0) this.claim()
    else if (claimed < ask.want || this.freeSlots > 0) this.around.listener.idle(this)
  }

  private begin(reply: SettleReply): void {
    const { core } = this.around
    const { claimed } = reply
    const around = {
      definition: this.definition,
      worker: core.link.instance,
      now: core.link.clock.monotonic(),
      measured: core.observers.watched,
    }
    for (let i = 0; i < claimed.length; i += 2) {
      const run = claimedRun(claimed[i]!, claimed[i + 1]!, around)
      this.runs.set(run.lease.token, run)
      this.taken++
      if (this.stopping) {
        core.observers.attempt(run.attempt, () =>
          core.observers.transition({ kind: "active", attempt: run.attempt }),
        )
        run.end({ kind: "released" }, 0)
        this.over(run)
        this.settle(run)
      } else {
        this.launch(run)
      }
    }
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
      this.settle(run)
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
    const { task, id } = run.attempt
    this.around.core.report(
      new Error(
        `the handler of job ${id} of task "${task}" goes on after its attempt was settled; its slot stays taken`,
      ),
      "other",
    )
  }

  private forget(run: Run): void {
    if (run.over) this.runs.delete(run.lease.token)
    this.checkQuiet()
  }

  /** The server would not take the batch. The leases are kept while it is tried again, then left to recovery. */
  private refused(batch: Batch, error: unknown): void {
    const { core } = this.around
    if (core.link.closed) {
      for (const run of batch.runs) run.settling = false
      return
    }
    core.report(error, "script")
    let tries = 0
    for (const run of batch.runs) {
      run.refusals++
      tries = Math.max(tries, run.refusals)
      if (run.refusals >= refusedTries) this.giveUp(run)
    }
    const again = batch.runs.filter((run) => run.refusals < refusedTries)
    core.link.clock.setTimeout(
      () => {
        this.outcomes.push(...again)
        this.claim()
      },
      Math.min(100 * 2 ** tries, 5000),
    )
  }

  private giveUp(run: Run): void {
    tellEnding(run, { word: "l", at: 0, reason: undefined }, this.around.core, this.definition)
    run.settling = false
    if (!run.over) this.over(run)
    this.forget(run)
  }

  private checkQuiet(): void {
    if (!this.isQuiet) return
    const quiet = this.quiet
    this.quiet = []
    for (const resolve of quiet) resolve()
  }
}

function parseReason(text: string | undefined): string | undefined {
  return text ? (JSON.parse(text) as string) : undefined
}
