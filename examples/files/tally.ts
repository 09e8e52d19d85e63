import { hostname } from "node:os"
import { type App, type EventMeta, LeaseLostError, TaskoraError } from "../../src/index.ts"

/** What the events said, of one process or of all. */
export interface Counts {
  active: number
  progress: number
  completed: number
  /** Failed attempts; those that were final are in `gone` too. */
  failed: number
  gone: number
  retrying: number
  stalled: number
  cancelled: number
}

function noCounts(): Counts {
  return { active: 0, progress: 0, completed: 0, failed: 0, gone: 0, retrying: 0, stalled: 0, cancelled: 0 }
}

/**
 * This program's own count of what happens, to hold against what /metrics says. Events fan out to every process, and
 * `meta.instance` tells which one made the transition: that is why they can be counted for one process and for all.
 */
export class Tally {
  dispatched = 0
  rejected = 0
  /** Calls of handlers in this process, and what they threw, by class. */
  runs = 0
  readonly thrown = new Map<string, number>()
  private readonly byInstance = new Map<string, Counts>()
  private instance = ""

  /** To be made before `taskora.start()`: middleware cannot be added later. */
  constructor(private readonly taskora: App) {
    taskora.use(async (ctx, next) => {
      this.runs++
      try {
        await next()
      } catch (error) {
        this.threw(ctx.signal.aborted ? ctx.signal.reason : error)
        throw error
      }
    })
    const counting =
      (...names: (keyof Counts)[]) =>
      (_: unknown, meta: EventMeta) =>
        this.add(names, meta)
    taskora.on("task:active", counting("active"))
    taskora.on("task:progress", counting("progress"))
    taskora.on("task:completed", counting("completed"))
    taskora.on("task:retrying", counting("retrying"))
    taskora.on("task:stalled", counting("stalled"))
    taskora.on("task:cancelled", counting("cancelled"))
    taskora.on("task:failed", ({ willRetry }, meta) =>
      this.add(willRetry ? ["failed"] : ["failed", "gone"], meta),
    )
  }

  /** Finds out which of the app's instances this process is. To be called after `taskora.start()`. */
  async identify(): Promise<void> {
    const workers = await this.taskora.inspect().workers()
    this.instance = workers.find(({ pid, host }) => pid === process.pid && host === hostname())?.id ?? ""
  }

  get here(): Readonly<Counts> {
    return this.byInstance.get(this.instance) ?? noCounts()
  }

  get everywhere(): Readonly<Counts> {
    const sum = noCounts()
    for (const counts of this.byInstance.values())
      for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name]
    return sum
  }

  private add(names: readonly (keyof Counts)[], { instance }: EventMeta): void {
    const counts = this.byInstance.get(instance) ?? noCounts()
    this.byInstance.set(instance, counts)
    for (const name of names) counts[name]++
  }

  private threw(error: unknown): void {
    const { name } = error as Error
    if (!isFailure(error)) return
    this.thrown.set(name, (this.thrown.get(name) ?? 0) + 1)
  }
}

/** Cancelled, lost and handed-back runs end with an error too, but have not failed. */
function isFailure(error: unknown): boolean {
  if (error instanceof LeaseLostError) return false
  return !(error instanceof TaskoraError && (error.code === "CANCELLED" || error.code === "SHUTDOWN"))
}
