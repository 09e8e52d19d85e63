import { type Duration, durationMs, show } from "../model/duration.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import type { Core } from "../store/core.ts"
import { scripts } from "../store/scripts.ts"
import { Turns } from "../store/turns.ts"
import { patienceMs, writeFailure } from "./write-failure.ts"

const cleanable = ["completed", "failed", "cancelled", "expired"] as const

export interface CleanOptions {
  /** Default: all tasks of this app. */
  readonly task?: string
  /** Which jobs go: those that ended in this state. Jobs that have not ended are cancelled, not cleaned. */
  readonly state: (typeof cleanable)[number]
  /** Only those that ended at least this long ago. Default 0: all of them. */
  readonly olderThan?: Duration
  /** How many go at the most, of all tasks together, the oldest of each task first. Default: no limit. */
  readonly limit?: number
}

const atOnce = 500

/** Forgets ended jobs before retention does. */
export class Cleaner {
  private readonly turns: Turns

  constructor(
    private readonly core: Core,
    private readonly host: { readonly ready: () => Promise<void>; readonly tasks: () => readonly string[] },
  ) {
    this.turns = new Turns(core.link, "x", patienceMs)
  }

  async clean(options: CleanOptions): Promise<number> {
    checkNames(options, ["task", "state", "olderThan", "limit"], "clean")
    const { task, state } = options
    if (!cleanable.includes(state)) throw invalid(notCleanable(state))
    const age = durationMs(options.olderThan ?? 0, "clean: olderThan")
    const limit = options.limit === undefined ? Infinity : wholeNumber(options.limit, "clean: limit", 1)
    const declared = this.host.tasks()
    if (task !== undefined && !declared.includes(task))
      throw invalid(`task ${show(task)} is not declared in this app; declare it with taskora.task(name)`)
    await this.host.ready()
    let cleaned = 0
    for (const name of task === undefined ? declared : [task])
      cleaned += await this.cleanTask(name, { state, age, limit: limit - cleaned })
    return cleaned
  }

  private async cleanTask(
    task: string,
    { state, age, limit }: { readonly state: string; readonly age: number; readonly limit: number },
  ): Promise<number> {
    const keys = this.core.link.keys(task)
    let cleaned = 0
    while (cleaned < limit) {
      const most = Math.min(atOnce, limit - cleaned)
      const { count } = await this.turns
        .take(task, (lane, patience) =>
          lane.call(scripts.clean, keys, { state, age, limit: most }, [], patience),
        )
        .catch((error: unknown) => {
          throw writeFailure(error, `${state} jobs of task "${task}" were`, "cleaned to the end")
        })
      cleaned += count
      if (count < most) break
    }
    return cleaned
  }
}

function notCleanable(state: unknown): string {
  const names = cleanable.map((name) => `"${name}"`).join(", ")
  if (["waiting", "delayed", "retrying", "active", "parked"].includes(state as string))
    return `clean: ${state as string} jobs have not ended; cancel them instead (handle.cancel()). Jobs are cleaned by how they ended: ${names}`
  return `clean: state is one of ${names}, not ${show(state)}`
}
