import { type Timer, within } from "../model/clock.ts"
import type { Core } from "../store/core.ts"
import type { Stale } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import type { TaskUpkeep } from "../store/upkeep-reply.ts"
import { tellExpired } from "./expired.ts"
import type { Slots } from "./slots.ts"
import { tellStalled } from "./stalled.ts"

const longestEveryMs = 5000
const shortestEveryMs = 20
const longestDueMs = 3_600_000
const tasksPerCall = 100
/** In a cluster, a task with nothing to do is left alone for one lease, and no longer than this. */
const longestRestMs = 30_000

/**
 * Recovers lost leases, promotes what is due and trims what is old, for all tasks that this process works on. Any number
 * of processes may do so at once: the scripts decide on what they find.
 */
export class Upkeep {
  private n = 0
  private timer: Timer | undefined
  private readonly dueTimers = new Map<Slots, { readonly timer: Timer; readonly at: number }>()
  /** Until when tasks with nothing to do are left alone in a cluster, where each takes a call of its own. */
  private readonly rests = new Map<Slots, number>()
  private disposed = false
  /** The last turn of what one call may speak for, by the slot in a cluster: no node waits for another that is away. */
  private readonly turns = new Map<number, Promise<void>>()

  constructor(
    private readonly core: Core,
    private readonly slots: ReadonlySet<Slots>,
  ) {}

  start(): void {
    if (this.disposed) return
    const leases = [...this.slots].map((slots) => slots.definition.leaseMs)
    const every = Math.max(shortestEveryMs, Math.min(longestEveryMs, ...leases.map((ms) => ms / 2)))
    this.core.link.clock.clearTimeout(this.timer)
    this.timer = this.core.link.clock.setTimeout(
      () => void this.keepIdle().finally(() => this.start()),
      every * (0.9 + Math.random() * 0.1),
      false,
      true,
    )
  }

  /** Promotes the task's delayed jobs when the next one falls due, `at` by the server's clock. */
  due(slots: Slots, at: number): void {
    const known = this.dueTimers.get(slots)
    if (this.disposed || (known && known.at <= at)) return
    const { clock } = this.core.link
    if (known) clock.clearTimeout(known.timer)
    const ms = Math.max(1, Math.ceil(at - this.core.link.serverNow()))
    const timer = clock.setTimeout(
      () => {
        this.dueTimers.delete(slots)
        void this.keep([slots])
      },
      Math.min(ms, longestDueMs),
      false,
      // It has only come nearer by then.
      ms > longestDueMs,
    )
    this.dueTimers.set(slots, { timer, at })
  }

  /** Begins no further turn; resolves when the one under way has told what it did. */
  dispose(): Promise<void> {
    this.disposed = true
    this.core.link.clock.clearTimeout(this.timer)
    for (const { timer } of this.dueTimers.values()) this.core.link.clock.clearTimeout(timer)
    this.dueTimers.clear()
    return Promise.all(this.turns.values()).then(() => {})
  }

  /** One turn over these tasks, after the turn that is under way; repeated while batches are full. */
  async keep(tasks: readonly Slots[]): Promise<void> {
    await Promise.all(this.groups(tasks).map((group) => this.keepNext(group)))
  }

  /** One turn over all tasks but those whose last turn has not ended, which is waited for no longer than the next one. */
  private async keepIdle(): Promise<void> {
    const { clock } = this.core.link
    const now = clock.monotonic()
    const due = [...this.slots].filter((slots) => slots.runs.size > 0 || (this.rests.get(slots) ?? 0) <= now)
    const idle = this.groups(due).filter((group) => !this.turns.has(this.slotOf(group)))
    await within(clock, Promise.all(idle.map((group) => this.keepNext(group))), {
      ms: longestEveryMs,
      late: () => [],
    })
  }

  private keepNext(group: readonly Slots[]): Promise<void> {
    const slot = this.slotOf(group)
    const turn = (this.turns.get(slot) ?? Promise.resolve())
      .then(() => this.keepAll(group))
      // The next turn must come, whatever became of this one.
      .catch((error: unknown) => this.core.report(error, "script"))
      .finally(() => {
        if (this.turns.get(slot) === turn) this.turns.delete(slot)
      })
    this.turns.set(slot, turn)
    return turn
  }

  private groups(tasks: readonly Slots[]): Slots[][] {
    return this.core.link.callable(tasks, (slots) => slots.definition.name)
  }

  private slotOf([slots]: readonly Slots[]): number {
    return slots ? (this.core.link.adapter.slotOf?.(slots.keys.base) ?? 0) : 0
  }

  private async keepAll(tasks: readonly Slots[]): Promise<void> {
    for (let i = 0; i < tasks.length; i += tasksPerCall) {
      let group = tasks.slice(i, i + tasksPerCall)
      while (group.length > 0 && !this.disposed) group = await this.keepGroup(group)
    }
  }

  /** Returns the tasks that have more to do. */
  private async keepGroup(group: readonly Slots[]): Promise<Slots[]> {
    const reply = await this.call(group)
    if (!reply) return []
    this.core.link.heard(reply.at)
    return group.filter((slots, i) => this.kept(slots, reply.tasks[i]!, reply.at))
  }

  private async call(group: readonly Slots[]) {
    const { link, events } = this.core
    const n = ++this.n
    const keys = group.flatMap((slots) => scripts.upkeep.keys.map((name) => slots.keys[name]))
    const args = group.flatMap(({ keys: { base }, definition: { maxStalls, retention, version } }) => {
      const { completed, failed } = retention
      const who = [base, `${link.instance}:u`, n, link.instance]
      return [
        ...who,
        maxStalls,
        failed.maxItems,
        completed.maxAgeMs,
        failed.maxAgeMs,
        events.maxLength,
        version,
      ]
    })
    for (let tries = 0; !this.disposed; tries++) {
      try {
        return await link.send(scripts.upkeep, keys, args)
      } catch (error) {
        if (link.closed || this.disposed) return undefined
        if (error instanceof StoreError && error.fate !== "refused") {
          await link.untilUsable(tries)
        } else {
          this.core.report(error, "script")
          return undefined
        }
      }
    }
    return undefined
  }

  private kept(slots: Slots, done: TaskUpkeep | Stale, at: number): boolean {
    if (done === "stale") return false
    if (done.due > 0) this.due(slots, done.due)
    for (const stalled of done.stalled) tellStalled(stalled, at, { core: this.core, slots })
    tellExpired(done.expired, at, { core: this.core, task: slots.definition.name })
    if (done.outbox) this.core.nodesLeft(slots.definition.name)
    const { adapter, clock } = this.core.link
    if (adapter.slotOf && !done.more && done.promoted === 0 && done.stalled.length === 0) {
      // So a lease that ran out is still noticed within two.
      this.rests.set(slots, clock.monotonic() + Math.min(longestRestMs, slots.definition.leaseMs))
    }
    return done.more
  }
}
