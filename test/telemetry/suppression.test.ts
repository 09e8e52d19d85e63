import { context, trace } from "@opentelemetry/api"
import { Redis } from "ioredis"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { SpanCollector } from "../support/spans.ts"

/** Does to ioredis what its instrumentation does: a span for each command and each connection, of any client. */
function instrument(): void {
  const tracer = trace.getTracer("ioredis")
  for (const method of ["sendCommand", "connect"] as const) {
    const original = Redis.prototype[method] as (...args: unknown[]) => unknown
    vi.spyOn(Redis.prototype, method).mockImplementation(function (this: Redis, ...args: unknown[]) {
      const command = (args[0] as { name?: string } | undefined)?.name ?? method
      const span = tracer.startSpan(`redis ${command}`)
      const answer = context.with(trace.setSpan(context.active(), span), () => original.apply(this, args))
      span.end()
      return answer as never
    })
  }
}

onRedis("own Redis commands", (host) => {
  const open = testApps()
  let collector: SpanCollector
  let admin: Redis

  beforeEach(async () => {
    admin = new Redis(host.url()!)
    await admin.ping()
    collector = new SpanCollector()
    instrument()
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    admin.disconnect()
    await collector.stop()
  })

  const redisSpans = () => collector.finished.filter((span) => span.name.startsWith("redis "))

  /** Everything that sends commands: dispatches, runs, renewals, logs, events, cancels, looks, scrapes, a lost connection. */
  async function work(storeSpans: boolean): Promise<void> {
    const app = open({ adapter: host.adapter(), observers: [opentelemetry({ storeSpans })] }, true)
    app.on("worker:error", () => {})
    app.on("task:completed", () => {})
    const task = app.task("t", {
      concurrency: 5,
      retry: { attempts: 2, delay: 1 },
      async handler(_: unknown, ctx) {
        ctx.progress(1)
        ctx.log.info("under way")
        await ctx.heartbeat()
        if (ctx.attempt === 1) throw new Error("once more")
      },
    })
    const control = app.task("control", async () => void (await admin.get("control")))
    app.on("task:failed", () => {})
    await app.start()
    const jobs = task.dispatchMany(Array.from({ length: 20 }, () => ({ data: {} })))
    await Promise.all(jobs.map((job) => job.result))
    const delayed = task.dispatch({}, { delay: "1h" })
    await delayed.cancel()
    await jobs[0]!.getJob()
    await app.inspect().stats()
    await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await task.dispatch({}).result
    await control.dispatch({}).result
    await until(() => collector.named("process control").length === 1, "the control has run")
    await app.close()
  }

  test("make no spans, while those of a handler do", async () => {
    await work(false)
    const run = collector.one("process control").spanContext().spanId
    const all = redisSpans().filter((span) => span.name !== "redis CLIENT")
    expect(all.map((span) => [span.name, span.parentSpanContext?.spanId])).toEqual([["redis get", run]])
    expect(collector.named("process t").length).toBeGreaterThanOrEqual(42)
  })

  test("make spans where these are asked for", async () => {
    await work(true)
    const names = new Set(redisSpans().map((span) => span.name))
    for (const name of ["redis evalsha", "redis xread", "redis connect"]) expect(names).toContain(name)
    const sends = collector.named("send t").map((span) => span.spanContext().spanId)
    const below = redisSpans().filter((span) => sends.includes(span.parentSpanContext?.spanId ?? ""))
    expect(new Set(below.map((span) => span.name))).toEqual(new Set(["redis evalsha"]))
  })
})
