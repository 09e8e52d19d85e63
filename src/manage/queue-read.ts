import { within } from "../model/clock.ts"
import {
  type QueueSnapshot,
  type TaskQueue,
  type TransitionName,
  transitionNames,
} from "../model/observer.ts"
import type { Core } from "../store/core.ts"
import { workflowsTask } from "../store/keys.ts"
import type { CountReply, RosterReply } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"

const freshMs = 1000
const tasksAtOnce = 100

export function countTask(core: Linked, task: string): Promise<CountReply> {
  const keys = core.link.keys(task)
  return core.link.run(scripts.count, keys, { base: keys.base }, transitionNames)
}

type Linked = Pick<Core, "link">

/**
 * The read of all queues that telemetry shares: one at a time, kept for a second. Counters never fall while their epoch
 * stays: what a failover lost is served as it was, a new epoch is a real reset.
 */
export class QueueRead {
  private current: Promise<QueueSnapshot> | undefined
  private last: { readonly at: number; readonly snapshot: QueueSnapshot } | undefined
  private readonly highest = new Map<string, { readonly epoch: string; readonly values: number[] }>()

  constructor(
    private readonly core: Linked,
    /** Which tasks are read: an app's own, or those of the roster. */
    private readonly tasks: (roster: RosterReply) => readonly string[],
  ) {}

  /** Undefined when the store did not answer in time, or not at all. */
  async read(timeoutMs: number): Promise<QueueSnapshot | undefined> {
    const { clock } = this.core.link
    if (!this.core.link.connected()) return undefined
    if (this.last && clock.monotonic() - this.last.at < freshMs) return this.last.snapshot
    this.current ??= this.ask().finally(() => {
      this.current = undefined
    })
    try {
      return await within(clock, this.current, { ms: timeoutMs, late: () => undefined })
    } catch {
      // Whoever scrapes learns it from the missing gauges and from `taskora_store_up`.
      return undefined
    }
  }

  private async ask(): Promise<QueueSnapshot> {
    const { link } = this.core
    const roster = await link.run(scripts.roster, link.shared, {})
    const workers = roster.workers.map(tasksOfWorker)
    const names = this.tasks(roster)
    const tasks: TaskQueue[] = []
    const counted = this.count(workflowsTask)
    // Where a task's count fails before it is awaited, its own failure is nobody's.
    counted.catch(() => undefined)
    let refused: StoreError | undefined
    for (let i = 0; i < names.length; i += tasksAtOnce) {
      const some = names.slice(i, i + tasksAtOnce)
      const counts = await Promise.all(some.map((task) => this.count(task)))
      counts.forEach((count, k) => {
        if (!(count instanceof StoreError)) tasks.push(this.taskQueue(some[k]!, count, workers))
        else refused ??= count
      })
    }
    // Where none can be counted, it is not some task's keys that are wrong.
    if (refused && tasks.length === 0) throw refused
    const running = await counted
    const workflows = running instanceof StoreError ? {} : { workflows: running.active }
    const snapshot = { at: roster.at, tasks, workers: workers.length, ...workflows }
    this.last = { at: link.clock.monotonic(), snapshot }
    return snapshot
  }

  /**
   * A task whose keys somebody spoilt is left out, and hides no other; its own workers tell of it. So is, in a cluster, one
   * whose node is away.
   */
  private count(task: string): Promise<CountReply | StoreError> {
    return countTask(this.core, task).catch((error: unknown) => {
      if (error instanceof StoreError && (error.fate === "refused" || this.core.link.adapter.slotOf))
        return error
      throw error
    })
  }

  private taskQueue(task: string, count: CountReply, workers: readonly (readonly unknown[])[]): TaskQueue {
    const values = this.neverFalling(task, count)
    return {
      task,
      waiting: count.waiting,
      delayed: count.delayed,
      active: count.active,
      parked: count.parked,
      paused: count.paused,
      oldestAt: count.oldest,
      workers: workers.filter((tasks) => tasks.includes(task)).length,
      transitions: Object.fromEntries(transitionNames.map((name, i) => [name, values[i] ?? 0])) as Record<
        TransitionName,
        number
      >,
    }
  }

  private neverFalling(task: string, { epoch, counters }: CountReply): readonly number[] {
    const known = this.highest.get(task)
    const values =
      known?.epoch === epoch
        ? counters.map((value, i) => Math.max(value, known.values[i] ?? 0))
        : [...counters]
    this.highest.set(task, { epoch, values })
    return values
  }
}

function tasksOfWorker(info: string): readonly unknown[] {
  const { tasks } = parseInfo(info)
  return Array.isArray(tasks) ? tasks : []
}

/** What a registry holds of a task or a worker; empty where somebody else wrote what cannot be read. */
export function parseInfo(text: string): Readonly<Record<string, unknown>> {
  try {
    const info: unknown = JSON.parse(text)
    return typeof info === "object" && info !== null ? (info as Record<string, unknown>) : {}
  } catch {
    // One entry that is damaged must not hide all the others.
    return {}
  }
}
