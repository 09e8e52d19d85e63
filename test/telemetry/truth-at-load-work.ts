import type { Context, DispatchOptions, TaskOptions } from "../../src/index.ts"
import { untilAborted } from "../support/aborted.ts"

/** What a job's handler does; its data. */
export type Deed =
  | "return"
  | "take a while"
  | "report"
  | "fail twice"
  | "fail always"
  | "fail for good"
  | "ask again"
  | "ask again at once"
  /** Goes on until it is aborted, or until the pod's gate opens. */
  | "hold"

/** Jobs of a kind that a dispatcher is told to make. */
export interface Batch {
  readonly task: string
  readonly deed: Deed
  readonly count: number
  readonly many?: true
  /** A number of ms passes within the test; a text does not. */
  readonly delay?: number | "1h"
  readonly priority?: number
  /** Begins the ids of the jobs. */
  readonly name?: string
  /** Each job is cancelled as soon as it is stored. */
  readonly cancel?: true
}

/** Calls of `ctx.progress()` by the deed "report". */
export const reports = 3
/** Within this, no attempt of the deed "take a while" ends. */
export const shortMs = 5

const stall = { interval: 2500, maxCount: 100 }
const retry = {
  attempts: 3,
  backoff: "fixed",
  delay: 10,
  jitter: false,
  noRetryOn: [SyntaxError],
} as const

/** Every task but `parked` is worked on. */
export const tasks: Readonly<Record<string, TaskOptions>> = {
  plain: { concurrency: 20, stall },
  flaky: {
    concurrency: 10,
    stall,
    retry,
    objectives: { success: 0.9, wait: { within: "1h", target: 0.9 } },
  },
  talkative: { concurrency: 5, stall },
  timed: { concurrency: 10, stall, objectives: { duration: { within: shortMs, target: 0.5 } } },
  slow: { concurrency: 20, stall, timeout: 40 },
  held: { concurrency: 5, stall },
  frail: { concurrency: 2, stall },
  doomed: { concurrency: 2, stall: { interval: 2500, maxCount: 0 } },
  parked: {},
}

export const attemptsOf = (task: string): number => tasks[task]?.retry?.attempts ?? 1
export const slots = Object.values(tasks).reduce((sum, { concurrency = 0 }) => sum + concurrency, 0)

export function optionsOf({ delay, priority, name }: Batch, index: number): DispatchOptions {
  return {
    ...(delay === undefined ? {} : { delay }),
    ...(priority === undefined ? {} : { priority }),
    ...(name === undefined ? {} : { jobId: `${name}-${index}` }),
  }
}

export async function perform(deed: Deed, ctx: Context, gate: Promise<void>): Promise<void> {
  switch (deed) {
    case "return":
      return
    case "take a while":
      return new Promise((resolve) => setTimeout(resolve, 4 * shortMs))
    case "report":
      for (let n = 1; n <= reports; n++) ctx.progress(n)
      return
    case "fail twice":
      if (ctx.attempt < 3) throw new RangeError("not yet")
      return
    case "fail always":
      throw new TypeError("never")
    case "fail for good":
      throw new SyntaxError("not again")
    case "ask again":
      if (ctx.attempt === 1) throw ctx.retry({ delay: 5, reason: "once more" })
      return
    case "ask again at once":
      if (ctx.attempt === 1) throw ctx.retry({ delay: 0 })
      return
    case "hold":
      await Promise.race([gate, untilAborted(ctx.signal)])
  }
}
