import type { Context, TaskOptions } from "../../src/index.ts"
import type { Diary } from "./observations.ts"

/** What a job of the harness is to do. */
export interface Work {
  readonly deed: "return" | "take time" | "fail" | "ignore its abort" | "kill its process"
  readonly ms?: number
  /** Attempts that fail. */
  readonly fails?: number
  /** Each so many ms: progress, a log line and a heartbeat. */
  readonly everyMs?: number
}

export interface Done {
  readonly run: string
}

export const taskNames = ["quick", "steady", "flaky", "stubborn", "deadly", "lone"] as const
export type FaultTask = (typeof taskNames)[number]

export const stubbornTimeoutMs = 300
export const attempts = 3

/** `lone` is dispatched by workers for themselves. */
export function optionsOf(task: FaultTask, leaseMs: number): TaskOptions {
  const stall = { interval: leaseMs, maxCount: task === "deadly" ? 1 : 1000 }
  switch (task) {
    case "quick":
      return { concurrency: 6, stall }
    case "steady":
      return { concurrency: 6, stall }
    case "flaky":
      return {
        concurrency: 4,
        stall,
        retry: { attempts, backoff: "fixed", delay: 60, jitter: false },
      }
    case "stubborn":
      return { concurrency: 4, stall, timeout: stubbornTimeoutMs }
    case "deadly":
    case "lone":
      return { concurrency: 1, stall }
  }
}

export const slotsOfWorker = 6 + 6 + 4 + 4 + 1 + 1

/** Does a job's work; every step of it is in the diary. */
export async function perform(work: Work, ctx: Context, run: string, diary: Diary): Promise<Done> {
  const { deed, ms = 0 } = work
  if (deed === "kill its process") {
    diary.note({ what: "dying", window: "in its handler", task: "deadly", id: ctx.id })
    process.kill(process.pid, "SIGKILL")
  }
  if (deed === "fail" && ctx.attempt <= (work.fails ?? 0)) {
    await pause(ms, ctx.signal)
    throw new Error(`attempt ${ctx.attempt} fails as it was told`)
  }
  if (deed === "ignore its abort") await pause(ms)
  else if (work.everyMs === undefined) await pause(ms, ctx.signal)
  else await talk(work, ctx, run, diary)
  return { run }
}

async function talk({ ms = 0, everyMs = 100 }: Work, ctx: Context, run: string, diary: Diary): Promise<void> {
  for (let step = 0, end = performance.now() + ms; performance.now() < end; step++) {
    await pause(Math.min(everyMs, end - performance.now()), ctx.signal)
    ctx.progress({ run, step })
    ctx.log.info(`step ${step}`, { run, at: Date.now() })
    const sent = Date.now()
    try {
      await ctx.heartbeat()
      diary.note({ what: "beat", run, sent, code: "" })
    } catch (error) {
      const { code = "OTHER" } = error as { code?: string }
      diary.note({ what: "beat", run, sent, code })
      // Without a lease the handler ends; without a connection it goes on.
      if (code === "LEASE_LOST") throw error
    }
  }
}

/** Rejects with the signal's reason as soon as it aborts. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted)
      resolve()
    }, ms)
    if (signal?.aborted) aborted()
    else signal?.addEventListener("abort", aborted, { once: true })
  })
}
