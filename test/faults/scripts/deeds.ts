import type { CancelAnswer, JobHandle } from "../../../src/index.ts"
import { scripts } from "../../../src/store/scripts.ts"
import type { Deed, Trial } from "./trial.ts"

const both = { dispatched: 2, started: 2, completed: 2 }

/** The settlement of this kind; what a claim alone, or another settlement, says is left alone. */
const named = scripts.settle.args.length
const settles = (kind: string) => (args: readonly (string | number)[]) => args.slice(named).includes(kind)
const claims = (args: readonly (string | number)[]) => args.length === named && Number(args[4]) > 0

/** A worker, and two jobs that another process dispatches, one after the other: the first one's call is struck. */
async function run(trial: Trial, strike: () => void): Promise<void> {
  await trial.worker()
  strike()
  await trial.producer.dispatch("work")
  await trial.rest()
  await trial.producer.dispatch("work")
}

function settlement(
  title: string,
  kind: string,
  deed: Omit<Deed, "title" | "script" | "act"> & Partial<Deed>,
): Deed {
  return { title: `settle: ${title}`, script: "settle", fits: settles(kind), act: run, ...deed }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Resolves when the run is aborted. */
const untilAborted = (_data: string, { signal }: { readonly signal: AbortSignal }) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))

function cancelled(title: string, state: string, deed: Partial<Deed> & Pick<Deed, "act">): Deed {
  return {
    title: `cancel: ${title}`,
    script: "cancel",
    counts: { dispatched: 1, [`cancelled_${state}`]: 1 },
    ...deed,
  }
}

/** Asks twice: the second call is the struck one's successor in its lane. */
async function cancelTwice(handle: JobHandle<unknown>, wanted: CancelAnswer): Promise<void> {
  const said = await handle.cancel({ reason: "no need" })
  if (said !== wanted) throw new Error(`cancel answered ${said}`)
  const again = await handle.cancel()
  if (again !== wanted && again !== "cancelled") throw new Error(`cancel answered ${again}`)
}

async function cancelOf(trial: Trial, strike: () => void, options: { delay?: number; priority?: number }) {
  const handle = trial.producer.dispatch("never", options)
  await handle
  strike()
  await cancelTwice(handle, "cancelled")
  // Whoever works now must not find it.
  await trial.worker(false)
  await trial.until(
    ({ waiting, priority }) => waiting.length + priority.size === 0,
    "nothing is left in the list",
  )
}

function upkeep(title: string, deed: Partial<Deed> & Pick<Deed, "act" | "counts">): Deed {
  return { title: `upkeep: ${title}`, script: "upkeep", ...deed }
}

/** Jobs that fall due make a worker keep their task: once for the strike, and once behind it. */
async function tick(trial: Trial, strike: () => void): Promise<void> {
  strike()
  for (let turn = 0; turn < 2; turn++) {
    await trial.producer.dispatch("tick", { delay: 20 })
    await trial.rest()
  }
}

/** A job whose worker vanished, for the upkeep of a worker that comes then. */
async function abandoned(trial: Trial, strike: () => void, cancel = false): Promise<void> {
  const handle = trial.producer.dispatch("work")
  await handle
  const id = await trial.vanish()
  if (id !== handle.id) throw new Error(`the ghost took ${id}`)
  if (cancel && (await handle.cancel()) !== "requested") throw new Error("the cancel was not a request")
  await trial.worker(false)
  await tick(trial, strike)
}

/** Every writing script, in each way that writes something of its own. */
export const deeds: readonly Deed[] = [
  { title: "enqueue: a plain job", script: "enqueue", act: run, counts: both },
  {
    title: "enqueue: jobs of every sort",
    script: "enqueue",
    async act(trial, strike) {
      await trial.worker()
      strike()
      const options = [{}, { priority: 2 }, { delay: 20 }, { jobId: "named" }, { jobId: "named" }]
      await Promise.all(
        trial.producer.dispatchMany(options.map((o) => ({ data: "x".repeat(1500), options: o }))),
      )
      await trial.rest()
      await trial.producer.dispatch("behind")
    },
    counts: { dispatched: 5, started: 5, completed: 5 },
  },
  {
    title: "launch",
    script: "launch",
    async act(trial, strike) {
      const own = await trial.worker()
      strike()
      await own.dispatch("x".repeat(1500)).result
      await trial.rest()
      await own.dispatch("behind").result
    },
    counts: both,
  },
  { title: "settle: a claim", script: "settle", fits: claims, act: run, counts: both },
  settlement("completed", "completed", { handler: () => "y".repeat(2000), counts: both }),
  settlement("completed, none kept", "completed", {
    options: { retention: { completed: { maxItems: 0 } } },
    counts: both,
  }),
  settlement("failed", "failed", {
    handler: () => Promise.reject(new Error("broken")),
    counts: { dispatched: 2, started: 2, failed: 2, attempts_failed: 2 },
  }),
  ...[0, 20].map((delay) =>
    settlement(`retried ${delay === 0 ? "at once" : "later"}`, "retried", {
      options: { retry: { attempts: 2, delay, jitter: false } },
      handler: (_, { attempt }) => (attempt === 1 ? Promise.reject(new Error("once more")) : "done"),
      counts: { dispatched: 2, started: 4, completed: 2, attempts_failed: 2, retried: 2 },
    }),
  ),
  settlement("cancelled", "cancelled", {
    handler: untilAborted,
    async act(trial, strike) {
      await trial.worker()
      strike()
      for (let turn = 0; turn < 2; turn++) {
        const handle = trial.producer.dispatch("work")
        await trial.until(({ active }) => active.size === 1, "it runs")
        const said = await handle.cancel()
        if (said !== "requested") throw new Error(`cancel answered ${said}`)
        await trial.rest()
      }
    },
    counts: { dispatched: 2, started: 2, cancelled_active: 2 },
  }),
  settlement("released", "released", {
    // The same attempt runs again, where the next worker takes it.
    handler: (data, ctx, { runs }) =>
      runs.filter((id) => id === ctx.id).length === 1 ? untilAborted(data, ctx) : "done",
    async act(trial, strike) {
      await trial.worker()
      const first = trial.app
      await trial.producer.dispatch("work")
      await trial.until(({ active }) => active.size === 1, "it runs")
      strike()
      await first.close({ timeout: 0 })
      await trial.worker(false)
    },
    counts: { dispatched: 1, started: 2, completed: 1, released: 1 },
    // Its process has gone.
    successor: false,
  }),
  settlement("a report, then the outcome", "progress", {
    async handler(_, ctx) {
      for (let i = 0; i < 12; i++) ctx.progress(i)
    },
    counts: both,
  }),
  {
    title: "renew",
    script: "renew",
    async handler(_, ctx) {
      await ctx.heartbeat()
      await ctx.heartbeat()
    },
    act: run,
    counts: both,
  },
  {
    title: "progress",
    script: "progress",
    async handler(_, ctx) {
      for (let i = 0; i < 3; i++) {
        ctx.progress({ step: i })
        await pause(1)
      }
    },
    act: run,
    counts: both,
  },
  {
    title: "log",
    script: "log",
    async handler(_, ctx) {
      ctx.log.info("first", { n: 1 })
      await pause(1)
      ctx.log.warn("second")
    },
    act: run,
    counts: both,
  },
  cancelled("a waiting job", "waiting", { act: (trial, strike) => cancelOf(trial, strike, {}) }),
  cancelled("a waiting job with a priority", "waiting", {
    act: (trial, strike) => cancelOf(trial, strike, { priority: 1 }),
  }),
  cancelled("a delayed job", "delayed", {
    act: (trial, strike) => cancelOf(trial, strike, { delay: 60_000 }),
  }),
  cancelled("an active job", "active", {
    handler: untilAborted,
    async act(trial, strike) {
      await trial.worker()
      const handle = trial.producer.dispatch("work")
      await trial.until(({ active }) => active.size === 1, "it runs")
      strike()
      await cancelTwice(handle, "requested")
    },
    counts: { dispatched: 1, started: 1, cancelled_active: 1 },
  }),
  upkeep("promotion", {
    async act(trial, strike) {
      await trial.worker()
      await tick(trial, strike)
    },
    counts: both,
  }),
  upkeep("recovery", {
    act: (trial, strike) => abandoned(trial, strike),
    counts: { dispatched: 3, started: 4, completed: 3, stalled_recovered: 1 },
  }),
  upkeep("stalled too often", {
    options: { stall: { interval: "60s", maxCount: 0 } },
    act: (trial, strike) => abandoned(trial, strike),
    counts: { dispatched: 3, started: 3, completed: 2, failed: 1, attempts_failed: 1, stalled_failed: 1 },
  }),
  upkeep("a request that nobody fulfilled", {
    act: (trial, strike) => abandoned(trial, strike, true),
    counts: { dispatched: 3, started: 3, completed: 2, cancelled_active: 1 },
  }),
  upkeep("trimming", {
    options: { retention: { completed: { maxAge: 1 } } },
    async act(trial, strike) {
      await trial.worker()
      await tick(trial, strike)
    },
    counts: both,
  }),
]
