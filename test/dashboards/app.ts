import { opentelemetry, startTelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { type Context, chain, chord, createTaskora, type JobHandle } from "../../src/index.ts"
import type { Observer } from "../../src/model/observer.ts"
import { redisAdapter } from "../../src/redis.ts"
import { untilAborted } from "../support/aborted.ts"

export interface Config {
  readonly url: string
  readonly prefix: string
  /** Where the app sends its metrics besides. */
  readonly endpoint?: string
  /** Makes it a worker that takes jobs of this task and never ends one. */
  readonly holds?: string
  /** Makes it a process that runs nothing and knows these tasks, as one that only dispatches does. */
  readonly knows?: readonly string[]
}

/** What the handler of `mail` does. */
export type Deed = "return" | "fail" | "flaky" | "odd" | "hold"

export type Order =
  | { readonly op: "mails"; readonly deeds: readonly Deed[] }
  | { readonly op: "bulk"; readonly count: number }
  | { readonly op: "orphans"; readonly count: number }
  | { readonly op: "held"; readonly count: number }
  | { readonly op: "hold then cancel" }
  | { readonly op: "cancel a delayed one" }
  | { readonly op: "reject" }
  | { readonly op: "flow control"; readonly parked: number }
  | { readonly op: "workflows"; readonly each: number }
  | { readonly op: "cancel a workflow" }
  | { readonly op: "stop the ticks" }
  | { readonly op: "take over"; readonly task: string }
  | { readonly op: "how long it took" }

const config = JSON.parse(process.argv[2]!) as Config
const isVictim = config.holds !== undefined
const isApp = config.endpoint !== undefined
if (isApp) await startTelemetry({ serviceName: "pushed", endpoint: config.endpoint!, metricInterval: 1000 })
const metrics = prometheus({ port: 0 })
const faulty: Observer = {
  name: "faulty",
  transition({ kind }) {
    if (kind === "worker ready") throw new Error("of no use")
  },
}
const app = createTaskora({
  adapter: redisAdapter(config.url, { prefix: config.prefix }),
  observers: [metrics, ...(isApp ? [opentelemetry(), faulty] : [])],
})
/** So long that who takes a task over has been scraped before it recovers a job. */
const stall = { interval: 5000, maxCount: 3 }
const tookMs: number[] = []
let opened = () => {}
const holding = new Promise<void>((resolve) => {
  opened = resolve
})

async function deliver(deed: Deed, ctx: Context): Promise<string> {
  const began = performance.now()
  ctx.progress(ctx.attempt)
  if (deed === "fail") throw new RangeError("never works")
  if (deed === "odd") throw Object.assign(new Error("nameless"), { name: "no class name" })
  if (deed === "flaky" && ctx.attempt === 1) throw new TypeError("works the second time")
  if (deed === "hold") {
    opened()
    await untilAborted(ctx.signal)
  }
  await new Promise((resolve) => setTimeout(resolve, 60))
  tookMs.push(performance.now() - began)
  return "sent"
}

const within = { within: "5s", target: 0.99 } as const
const mail = isApp
  ? app.task("mail", {
      concurrency: 4,
      retry: { attempts: 2, delay: 20 },
      info: { owner: "the mail team", runbook: "https://example.com/mail" },
      objectives: { success: 0.95, wait: within, duration: { within: 30, target: 0.5 } },
      handler: deliver,
    })
  : undefined
const bulk = isApp
  ? app.task("bulk", {
      concurrency: 2,
      handler: async () => {
        await new Promise((resolve) => setTimeout(resolve, 60))
      },
    })
  : undefined
const orphans = isApp ? app.task("orphans") : undefined
const ok = async () => {}
/** What flow control, schedules and workflows have to do with. */
const flow = isApp
  ? {
      keyed: app.task("keyed", {
        concurrency: 4,
        concurrencyKey: "one",
        handler: (_: undefined, ctx) => untilAborted(ctx.signal),
      }),
      halted: app.task("halted", { handler: ok }),
      step: app.task("step", async (n: number) => n + 1),
      sum: app.task("sum", async (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)),
      broken: app.task("broken", {
        handler: async (_: number): Promise<number> => {
          throw new Error("never works")
        },
      }),
      tick: app.task("tick", { handler: ok }),
    }
  : undefined
if (flow !== undefined) {
  app.schedule("tick", { task: flow.tick, every: "500ms" })
  app.schedule("hourly", { task: flow.tick, every: "1h" })
}
for (const name of config.knows ?? []) app.task(name)
const held = isVictim
  ? app.task(config.holds!, {
      concurrency: 4,
      stall,
      handler: (n: number, ctx) => {
        process.send!({ holds: n })
        return untilAborted(ctx.signal)
      },
    })
  : undefined

async function ended(jobs: readonly JobHandle[]): Promise<void> {
  await Promise.allSettled(jobs.map((job) => job.result))
}

async function obey(order: Order): Promise<unknown> {
  switch (order.op) {
    case "mails":
      return ended(order.deeds.map((deed) => mail!.dispatch(deed)))
    case "bulk":
      return ended(bulk!.dispatchMany(Array.from({ length: order.count }, () => ({ data: undefined }))))
    case "orphans":
      return Promise.all(orphans!.dispatchMany(Array.from({ length: order.count }, () => ({ data: 1 }))))
    case "held":
      return Promise.all(Array.from({ length: order.count }, (_, n) => held!.dispatch(n)))
    case "hold then cancel": {
      const job = mail!.dispatch("hold")
      await holding
      await job.cancel({ reason: "enough" })
      return ended([job])
    }
    case "cancel a delayed one":
      return mail!.dispatch("return", { delay: "1h" }).cancel()
    case "reject":
      return Promise.allSettled([mail!.dispatch(1n as never)])
    case "flow control": {
      await flow!.halted.pause()
      const late = flow!.halted.dispatch(undefined, { ttl: 200 })
      for (let i = 0; i < order.parked + 1; i++) await flow!.keyed.dispatch(undefined)
      const throttle = { key: "one", max: 1, window: "1h" } as const
      await flow!.sum.dispatch([1], { throttle })
      await flow!.sum.dispatch([1], { throttle })
      const failed = flow!.broken.dispatch(1)
      await ended([late, failed])
      return app.deadLetters.retry(failed.id, { task: "broken" })
    }
    case "workflows": {
      const good = () => chord([flow!.step.s(1), flow!.step.s(2)], flow!.sum.s())
      const bad = () => chain(flow!.step.s(1), flow!.broken.s())
      const all = Array.from({ length: order.each }, () => [good().dispatch(), bad().dispatch()]).flat()
      return Promise.allSettled(all.map((workflow) => workflow.result))
    }
    case "cancel a workflow": {
      const workflow = flow!.step.s(1, { delay: "1h" }).dispatch()
      await workflow
      await workflow.cancel()
      return Promise.allSettled([workflow.result])
    }
    case "stop the ticks":
      return app.schedules.pause("tick")
    case "take over":
      return void app.task(order.task, { concurrency: 4, stall, handler: async () => {} })
    case "how long it took":
      return tookMs
  }
}

process.on("message", ({ n, order }: { n: number; order: Order }) => {
  void obey(order).then(
    (reply) => process.send!({ n, reply: order.op === "how long it took" ? reply : null }),
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on("disconnect", () => process.exit())
app.on("worker:error", () => {})
app.on("task:failed", () => {})
app.on("task:completed", () => {})
await app.start()
process.send!({ port: metrics.port })
