import type { Context } from "../../src/index.ts"
import type { Ledger } from "./ledger.ts"

/** What a job of these tests is to do; its handler does it and keeps a ledger. */
export interface Work {
  /** How long it runs. */
  readonly ms: number
  /** This run is another one than the first: it takes so long, and does nothing of what follows. */
  readonly againMs?: number
  /** Goes on when its signal aborts. */
  readonly deaf?: boolean
  /** Blocks the event loop for so long before anything else, ms. */
  readonly blockMs?: number
  /** Kills its process. */
  readonly die?: boolean
  /** Reports progress and writes a log line at its end. */
  readonly talk?: boolean
  readonly heartbeat?: boolean
}

export async function perform(work: Work, ctx: Context, ledger: Ledger): Promise<string> {
  if (work.againMs !== undefined && ledger.of("began").some(({ id }) => id === ctx.id))
    return perform({ ms: work.againMs }, ctx, ledger)
  ledger.write("began", ctx.id, ctx.attempt)
  if (work.die) process.kill(process.pid, "SIGKILL")
  if (work.blockMs) blockLoop(work.blockMs)
  try {
    await pause(work.ms, work.deaf ? undefined : ctx.signal)
    if (work.heartbeat) await ctx.heartbeat()
  } catch (error) {
    const { code, name } = error as { code?: string; name?: string }
    ledger.write("aborted", ctx.id, ctx.attempt, code ?? name ?? "")
    throw error
  }
  if (work.talk) {
    ctx.progress(99)
    ctx.log.info("the end")
  }
  ledger.write("ended", ctx.id, ctx.attempt)
  return `by ${process.pid}`
}

/** Rejects with the signal's reason as soon as it aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener("abort", () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}

export function blockLoop(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}
