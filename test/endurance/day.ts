import { parseArgs } from "node:util"
import { type Context, createTaskora, type DispatchOptions, type JobHandle } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { VirtualClock } from "./virtual-clock.ts"

/**
 * A day of virtual time on the embedded engine, with jobs of all sorts: what the engine holds at its end must be what it
 * held after two hours. Run with --expose-gc; prints both, and ends with 1 where one of them grew by more than a tenth.
 */
const { values } = parseArgs({ options: { jobs: { type: "string" }, hours: { type: "string" } } })
const jobs = Number(values.jobs ?? 1_000_000)
const hours = Number(values.hours ?? 24)
const warmHours = 2
const hourMs = 3_600_000
const tickMs = 4000
const mostGrowth = 1.1

type Sort = "plain" | "progress" | "logs" | "retried" | "failed" | "long" | "slow" | "cancelled"
const sorts: readonly Sort[] = [
  "plain",
  "plain",
  "plain",
  "progress",
  "logs",
  "retried",
  "failed",
  "long",
  "slow",
  "cancelled",
]

const clock = new VirtualClock()
const adapter = memoryAdapter({ clock })
const app = createTaskora({
  adapter,
  events: { maxLength: 2000 },
  retention: { completed: { maxAge: "30m", maxItems: 500 }, failed: { maxAge: "1h", maxItems: 500 } },
})
const errors: string[] = []
app.on("worker:error", ({ message }) => {
  if (errors.length < 10) errors.push(message)
})
const heard = { completed: 0, failed: 0, cancelled: 0 }
const wait = (ms: number) => new Promise<void>((resolve) => clock.setTimeout(resolve, ms))

async function handler({ sort }: { sort: Sort }, ctx: Context): Promise<unknown> {
  switch (sort) {
    case "progress":
      for (let i = 0; i < 12; i++) ctx.progress(i)
      return "done"
    case "logs":
      for (let i = 0; i < 5; i++) ctx.log.info(`line ${i}`, { i })
      return "done"
    case "retried":
      if (ctx.attempt === 1) throw new Error("once more")
      return "done"
    case "failed":
      throw new Error("for good")
    case "long":
      return "r".repeat(3000)
    case "slow":
      await wait(700)
      return "done"
    case "cancelled":
      await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()))
      return "never"
    default:
      return "done"
  }
}

const task = app.task<{ sort: Sort; data: string }>("work", {
  concurrency: 100,
  handler,
  retry: { attempts: 2, delay: "3m", noRetryOn: [] },
})
task.on("completed", () => void heard.completed++)
task.on("failed", ({ willRetry }) => void (willRetry || heard.failed++))
task.on("cancelled", () => void heard.cancelled++)

let made = 0
let waiting = 0

function optionsOf(n: number): DispatchOptions {
  if (n % 7 === 0) return { delay: (n * 7919) % hourMs }
  if (n % 11 === 0) return { priority: n % 5 }
  // A name comes again and again: most often its job has ended by then, and been forgotten.
  return n % 13 === 0 ? { jobId: `name-${n % 5000}` } : {}
}

function dispatchOne(): void {
  const n = made++
  const sort = sorts[n % sorts.length]!
  const handle = task.dispatch({ sort, data: sort === "long" ? "d".repeat(2000) : "d" }, optionsOf(n))
  if (sort === "cancelled") void cancelled(handle, n)
  if (n % 50 === 0) {
    waiting++
    const settled = () => {
      waiting--
    }
    handle.result.then(settled, settled)
  }
}

async function cancelled(handle: JobHandle<unknown>, n: number): Promise<void> {
  if (n % 3 > 0) await wait(500)
  await handle.cancel({ reason: "no need" })
}

interface Measure {
  readonly keys: number
  readonly luaKiB: number
  readonly heapMiB: number
  readonly timers: number
}

async function measure(): Promise<Measure> {
  // What the last turns left behind goes with the second collection.
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    keys: (adapter.command(["KEYS", "*"]) as string[]).length,
    luaKiB: Math.round(adapter.luaMemory()),
    heapMiB: Math.round((process.memoryUsage().heapUsed / 1_048_576) * 100) / 100,
    timers: clock.pending,
  }
}

await app.start()
const ticks = (hours * hourMs) / tickMs
let early: Measure | undefined
for (let tick = 1; tick <= ticks; tick++) {
  for (const due = Math.floor((jobs * tick) / ticks); made < due; ) dispatchOne()
  await clock.advance(tickMs)
  if (tick === (warmHours * hourMs) / tickMs) early = await measure()
  if (tick % (hourMs / tickMs) === 0 && process.stderr.isTTY)
    console.error(`hour ${(tick * tickMs) / hourMs}`)
}
const late = await measure()
const stats = await app.inspect().stats()
const judged = ["keys", "luaKiB", "heapMiB"] as const
const grown = judged.filter((name) => late[name] > early![name] * mostGrowth)
const { transitions } = stats
console.log(JSON.stringify({ jobs: made, hours, early, late, heard, waiting, errors, transitions }))
for (const name of grown) console.error(`${name} grew by more than a tenth`)
const ended = transitions.completed + transitions.failed + transitions.cancelled_waiting
const isLost =
  transitions.dispatched !==
  ended +
    transitions.cancelled_delayed +
    transitions.cancelled_active +
    stats.waiting +
    stats.delayed +
    stats.active
if (isLost) console.error("jobs were lost")
if (errors.length > 0 || transitions.stalled_recovered > 0) console.error("the day was not a quiet one")
process.exit(grown.length > 0 || isLost || errors.length > 0 || transitions.stalled_recovered > 0 ? 1 : 0)
