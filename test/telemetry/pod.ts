import { prometheus } from "../../exporters/prometheus.ts"
import {
  type App,
  type Context,
  createTaskora,
  type DispatchOptions,
  type JobHandle,
  type TaskOptions,
  type TaskoraError,
} from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { untilAborted } from "../support/aborted.ts"

/** What the test tells a pod when it starts it. */
export interface PodConfig {
  readonly url: string
  readonly prefix: string
  /** Whether it listens to all events. */
  readonly listens: boolean
}

/** What a job's handler does. */
export type Deed =
  | { readonly do: "return" }
  /** Throws until the attempt with this number. */
  | { readonly do: "fail"; readonly until: number }
  /** Asks for another attempt, once. */
  | { readonly do: "again" }
  | { readonly do: "report" }
  /** Goes on until it is aborted, or until the pod's gate opens. */
  | { readonly do: "hold" }

export type Order =
  | {
      readonly op: "declare"
      readonly task: string
      readonly options?: TaskOptions
      readonly handles: boolean
    }
  | { readonly op: "start" }
  | {
      readonly op: "dispatch"
      readonly task: string
      readonly deeds: readonly Deed[]
      readonly options?: DispatchOptions
    }
  | { readonly op: "dispatchMany"; readonly task: string; readonly deeds: readonly Deed[] }
  | { readonly op: "reject"; readonly task: string }
  | { readonly op: "cancel"; readonly id: string; readonly reason: string }
  | { readonly op: "open" }
  | { readonly op: "close"; readonly timeout: number }

/** A line of a pod's own record: what its handlers did, and what its listeners heard. */
export interface Line {
  readonly task: string
  readonly what: "start" | "return" | "throw" | "abort" | "event"
  /** Class of what was thrown, or of the reason of the abort; the name of an event. */
  readonly of: string
  readonly id: string
  readonly attempt: number
}

export interface Stored {
  readonly id: string
  readonly enqueued: boolean
}

export type Message = { readonly line: Line } | { readonly n: number; readonly reply: unknown }

const config = JSON.parse(process.argv[2]!) as PodConfig
const metrics = prometheus({ port: 0 })
const app: App = createTaskora({
  adapter: redisAdapter(config.url, { prefix: config.prefix }),
  observers: [metrics],
})
const handles = new Map<string, JobHandle>()
const tasks = new Map<string, ReturnType<App["task"]>>()
let openGate = () => {}
const gate = new Promise<void>((resolve) => {
  openGate = resolve
})

function note(line: Line): void {
  process.send!({ line } satisfies Message)
}

async function handle(task: string, deed: Deed, ctx: Context): Promise<string> {
  const about = { task, id: ctx.id, attempt: ctx.attempt }
  note({ ...about, what: "start", of: "" })
  try {
    await perform(deed, ctx)
  } catch (error) {
    const reason = ctx.signal.aborted ? (ctx.signal.reason as Error) : (error as Error)
    note({ ...about, what: ctx.signal.aborted ? "abort" : "throw", of: reason.name })
    throw error
  }
  note({ ...about, what: "return", of: "" })
  return "done"
}

async function perform(deed: Deed, ctx: Context): Promise<void> {
  if (deed.do === "fail" && ctx.attempt < deed.until) throw new RangeError(`attempt ${ctx.attempt}`)
  if (deed.do === "again" && ctx.attempt === 1) throw ctx.retry({ delay: 5 })
  if (deed.do === "report") ctx.progress(ctx.attempt)
  if (deed.do !== "hold") return
  await Promise.race([gate, untilAborted(ctx.signal)])
}

async function obey(order: Order): Promise<unknown> {
  switch (order.op) {
    case "declare": {
      const handler = (deed: unknown, ctx: Context) => handle(order.task, deed as Deed, ctx)
      tasks.set(order.task, app.task(order.task, { ...order.options, ...(order.handles ? { handler } : {}) }))
      return
    }
    case "start":
      await app.start()
      return metrics.port
    case "dispatch":
      return stored(order.deeds.map((deed) => tasks.get(order.task)!.dispatch(deed, order.options)))
    case "dispatchMany":
      return stored(tasks.get(order.task)!.dispatchMany(order.deeds.map((data) => ({ data }))))
    case "reject": {
      const task = tasks.get(order.task)!
      const refused = [task.dispatch(10n), task.dispatch("x".repeat(1_100_000))]
      return Promise.all(
        refused.map((job) =>
          job.then(
            () => "stored",
            (error) => (error as TaskoraError).code,
          ),
        ),
      )
    }
    case "cancel":
      return handles.get(order.id)!.cancel({ reason: order.reason })
    case "open":
      return openGate()
    case "close":
      await app.close({ timeout: order.timeout })
      return (await metrics.render()).body
  }
}

async function stored(jobs: readonly JobHandle[]): Promise<Stored[]> {
  await Promise.all(jobs)
  for (const job of jobs) handles.set(job.id, job)
  return jobs.map(({ id, enqueued }) => ({ id, enqueued: enqueued === true }))
}

if (config.listens) {
  for (const name of [
    "active",
    "progress",
    "completed",
    "failed",
    "retrying",
    "stalled",
    "cancelled",
  ] as const)
    app.on(`task:${name}`, ({ task, id }) => note({ task, id, what: "event", of: name, attempt: 0 }))
}
process.on("message", ({ n, order }: { n: number; order: Order }) => {
  void obey(order).then(
    (reply) => process.send!({ n, reply } satisfies Message),
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on("disconnect", () => process.exit())
