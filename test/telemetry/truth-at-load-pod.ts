import { openSync, writeSync } from "node:fs"
import { prometheus } from "../../exporters/prometheus.ts"
import {
  type App,
  type Context,
  createTaskora,
  type JobHandle,
  type Observer,
  type TaskoraError,
} from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { type Batch, type Deed, optionsOf, perform, tasks } from "./truth-at-load-work.ts"

export interface PodConfig {
  readonly url: string
  readonly prefix: string
  readonly role: "worker" | "dispatcher"
  /** Whether it listens to all events, and cancels what it hears to be held. */
  readonly listens: boolean
  /** The file of its diary. */
  readonly diary: string
}

export type Order =
  | { readonly op: "start" }
  | { readonly op: "dispatch"; readonly batches: readonly Batch[] }
  | { readonly op: "reject"; readonly task: string }
  | { readonly op: "cancel"; readonly id: string }
  | { readonly op: "open" }
  | { readonly op: "close"; readonly timeout: number }

/** A line of a pod's diary, written before anything else happens. */
export type Fact =
  | { readonly what: "instance"; readonly id: string }
  | {
      readonly what: "dispatched"
      readonly task: string
      readonly id: string
      readonly stored: boolean
      readonly delay?: number | "1h"
    }
  | { readonly what: "rejected"; readonly task: string; readonly code: string }
  | {
      readonly what: "cancel"
      readonly task: string
      readonly id: string
      readonly answer: string
      readonly delayed: boolean
    }
  | ({ readonly what: "start"; readonly at: number } & Attempt)
  | ({
      readonly what: "return" | "throw" | "abort"
      /** Class of what was thrown, or code of the reason of the abort. */
      readonly of: string
      readonly atOnce: boolean
    } & Attempt)
  | ({ readonly what: "report" } & Attempt)
  | ({
      readonly what: "event"
      readonly name: string
      readonly instance: string
      readonly at: number
    } & Attempt)

export interface Attempt {
  readonly task: string
  readonly id: string
  readonly attempt: number
}

const config = JSON.parse(process.argv[2]!) as PodConfig
const diary = openSync(config.diary, "a")
const metrics = prometheus({ port: 0 })
const introduction: Observer = {
  name: "introduction",
  source: ({ instance }) => note({ what: "instance", id: instance }),
}
const app: App = createTaskora({
  adapter: redisAdapter(config.url, { prefix: config.prefix }),
  observers: [metrics, introduction],
  // Nothing is forgotten: names stay taken, and listeners miss nothing.
  retention: {
    completed: { maxAge: "1h", maxItems: 1_000_000 },
    failed: { maxAge: "1h", maxItems: 1_000_000 },
  },
  events: { maxLength: 1_000_000 },
})
let openGate = () => {}
const gate = new Promise<void>((resolve) => {
  openGate = resolve
})
const handles = new Map<string, JobHandle>()

// Thousands of jobs fail on purpose.
console.error = () => {}

function note(fact: Fact): void {
  writeSync(diary, `${JSON.stringify(fact)}\n`)
}

async function handle(task: string, deed: Deed, ctx: Context): Promise<string> {
  const about = { task, id: ctx.id, attempt: ctx.attempt }
  note({ what: "start", ...about, at: performance.timeOrigin + performance.now() })
  try {
    await perform(deed, ctx, gate)
  } catch (error) {
    const { aborted } = ctx.signal
    const { name, code } = (aborted ? ctx.signal.reason : error) as TaskoraError
    const of = aborted && code === "SHUTDOWN" ? code : name
    note({ what: aborted ? "abort" : "throw", ...about, of, atOnce: deed === "ask again at once" })
    throw error
  }
  if (deed === "report") note({ what: "report", ...about })
  note({ what: "return", ...about, of: "", atOnce: false })
  return "done"
}

const declared = new Map(
  Object.entries(tasks).map(([name, options]) => {
    const works = config.role === "worker" && name !== "parked"
    const handler = (deed: unknown, ctx: Context) => handle(name, deed as Deed, ctx)
    return [name, app.task(name, { ...options, ...(works ? { handler } : {}) })]
  }),
)

const names = ["active", "progress", "completed", "failed", "retrying", "stalled", "cancelled"] as const

function listen(): void {
  for (const name of names)
    app.on(`task:${name}`, (payload, { instance, timestamp }) => {
      const { task, id } = payload
      const attempt = "attempt" in payload ? payload.attempt : 0
      note({ what: "event", name, task, id, attempt, instance, at: timestamp })
      if (name === "active" && task === "held") void cancelOnce(id)
    })
}

async function cancelOnce(id: string): Promise<void> {
  const job = handles.get(id)
  if (handles.delete(id)) await cancel(job!, "held", false)
}

async function cancel(job: JobHandle, task: string, delayed: boolean): Promise<string> {
  const answer = await job.cancel({ reason: "not needed" })
  note({ what: "cancel", task, id: job.id, answer, delayed })
  return answer
}

const atATime = 500

async function dispatch(batch: Batch): Promise<void> {
  const { task, deed, count } = batch
  const target = declared.get(task)!
  for (let from = 0; from < count; from += atATime) {
    const indices = Array.from({ length: Math.min(atATime, count - from) }, (_, i) => from + i)
    const jobs = batch.many
      ? target.dispatchMany(indices.map((i) => ({ data: deed, options: optionsOf(batch, i) })))
      : indices.map((i) => target.dispatch(deed, optionsOf(batch, i)))
    await Promise.all(jobs.map((job) => stored(job, batch)))
  }
}

async function stored(job: JobHandle, { task, delay, deed, cancel: unwanted }: Batch): Promise<void> {
  if (deed === "hold") handles.set(job.id, job)
  await job
  const isNew = job.enqueued === true
  note({ what: "dispatched", task, id: job.id, stored: isNew, ...(delay === undefined ? {} : { delay }) })
  if (unwanted) await cancel(job, task, delay !== undefined)
}

async function reject(name: string): Promise<void> {
  const task = declared.get(name)!
  for (const data of [10n, "x".repeat(1_100_000)])
    await Promise.resolve(task.dispatch(data)).catch(({ code }: TaskoraError) =>
      note({ what: "rejected", task: name, code }),
    )
}

async function obey(order: Order): Promise<unknown> {
  switch (order.op) {
    case "start":
      if (config.listens) listen()
      await (config.role === "worker" ? app.start() : app.listen())
      return metrics.port
    case "dispatch":
      for (const batch of order.batches) await dispatch(batch)
      return
    case "reject":
      return reject(order.task)
    case "cancel":
      return cancel(handles.get(order.id)!, "frail", false)
    case "open":
      return openGate()
    case "close":
      await app.close({ timeout: order.timeout })
      return (await metrics.render()).body
  }
}

process.on("message", ({ n, order }: { n: number; order: Order }) => {
  void obey(order).then(
    (reply) => process.send!({ n, reply }),
    (error) => {
      console.warn(error)
      process.exit(1)
    },
  )
})
process.on("disconnect", () => process.exit())
