import { AsyncLocalStorage } from "node:async_hooks"
import { context, createContextKey, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api"
import { AlwaysOffSampler } from "@opentelemetry/sdk-trace-base"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import type { Adapter } from "../../src/store/store.ts"
import { untilAborted } from "../support/aborted.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"
import { startProxy } from "../support/proxy.ts"
import { resetTelemetry, SpanCollector } from "../support/spans.ts"

const open = testApps()
const observers = () => [opentelemetry({ metrics: false })]
let collector: SpanCollector

beforeEach(() => {
  collector = new SpanCollector()
})
afterEach(async () => {
  await collector.stop()
  resetTelemetry()
})

/** The traces without the spans of the worker itself, whose number varies, and counted without them. */
function traces(): string {
  const lines = collector.render().split("\n")
  const kept = lines.filter((line, at) => {
    const workers = (text: string | undefined) => / worker (start|error|shutdown) /.test(text ?? "")
    return !workers(line) && !(line.startsWith("trace") && workers(lines[at + 1]))
  })
  const spans = new Map<string, string>()
  let count = 0
  return `\n${kept.join("\n")}\n`
    .replace(/(?<=^ +)#\d+/gm, (number) => {
      spans.set(number, `#${spans.size + 1}`)
      return number
    })
    .replace(/#\d+/g, (number) => spans.get(number) ?? number)
    .replace(/^trace \d+$/gm, () => `trace ${++count}`)
}

async function ended(name: string, count: number): Promise<void> {
  await until(() => collector.named(name).length === count, `${count} spans ${name} have ended`)
}

onBothHosts("traces", (host) => {
  test("a job is claimed in nobody's context", async () => {
    const key = createContextKey("left over")
    const store = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const look = () => seen.push(context.active().getValue(key), store.getStore())
    const tracer = trace.getTracer("user")
    const app = open({ adapter: host.adapter(), observers: observers() })
    const inner = app.task("inner", async () => {
      look()
      await new Promise((resolve) => setImmediate(resolve))
      look()
    })
    const outer = app.task("outer", async () => {
      look()
      const within = await inner.dispatch({})
      await inner.dispatch({})
      return within
    })
    const boot = tracer.startSpan("boot")
    const leftOver = trace.setSpan(context.active().setValue(key, "left over"), boot)
    await store.run("left over", () => context.with(leftOver, () => app.start()))
    await context.with(leftOver, () => store.run("left over", () => outer.dispatch({}))).result
    await outer.dispatch({}).result
    await ended("process inner", 4)
    boot.end()
    expect(seen.filter((found) => found !== undefined)).toEqual([])
    expect(seen).toHaveLength(2 * 2 + 4 * 4)

    const outerRuns = collector.named("process outer").map((span) => span.spanContext().spanId)
    const sends = collector.named("send inner")
    expect(new Set(sends.map((span) => span.parentSpanContext?.spanId))).toEqual(new Set(outerRuns))
    const parents = collector.named("process inner").map((span) => span.parentSpanContext?.spanId)
    expect(parents.sort()).toEqual(sends.map((span) => span.spanContext().spanId).sort())
    const [first, second] = collector.named("send outer")
    expect(first!.parentSpanContext?.spanId).toBe(boot.spanContext().spanId)
    expect(second!.parentSpanContext).toBeUndefined()
  })

  test("cancelled while waiting", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const task = app.task("t")
    const handle = task.dispatch({})
    const tracer = trace.getTracer("user")
    await handle
    await tracer.startActiveSpan("request", async (span) => {
      expect(await handle.cancel({ reason: "no need" })).toBe("cancelled")
      span.end()
    })
    expect(traces()).toBe(`
trace 1
  #1 send t (PRODUCER)
trace 2
  #2 request (INTERNAL)
    #3 cancel t (CLIENT) state=waiting reason=no need [cancelled] ~> #1
`)
  })

  test("cancelled while active; onCancel runs where the handler ran", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    let begun = () => {}
    const running = new Promise<void>((resolve) => {
      begun = resolve
    })
    const cleanedIn: (string | undefined)[] = []
    const task = app.task("t", {
      async handler(_: unknown, ctx) {
        begun()
        await untilAborted(ctx.signal)
      },
      onCancel: () => cleanedIn.push(trace.getActiveSpan()?.spanContext().spanId),
    })
    await app.start()
    const handle = task.dispatch({})
    await running
    expect(await handle.cancel()).toBe("requested")
    await ended("process t", 1)
    expect(cleanedIn).toEqual([collector.one("process t").spanContext().spanId])
    expect(traces()).toBe(`
trace 1
  #1 send t (PRODUCER)
    #2 process t (CONSUMER) attempt=1 outcome=cancelled [cancelled] ~> #1
trace 2
  #3 cancel t (CLIENT) state=active ~> #1
`)
  })

  test("a hundred at once, each job below the one span of the call", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const task = app.task("t", { concurrency: 10, handler: async () => {} })
    await app.start()
    const jobs = task.dispatchMany(Array.from({ length: 100 }, () => ({ data: {} })))
    await Promise.all(jobs.map((job) => job.result))
    await ended("process t", 100)
    const send = collector.one("send t")
    expect(send.attributes).toMatchObject({ "messaging.batch.message_count": 100 })
    const runs = collector.named("process t")
    expect(new Set(runs.map((run) => run.attributes["messaging.message.id"]))).toEqual(
      new Set(jobs.map((job) => job.id)),
    )
    for (const run of runs) expect(run.parentSpanContext?.spanId).toBe(send.spanContext().spanId)
  })

  test("a hundred at once, each with a span of its own where that is asked for", async () => {
    const app = open({ adapter: host.adapter(), observers: [opentelemetry({ batchCreates: true })] })
    const task = app.task("t", { concurrency: 10, handler: async () => {} })
    await app.start()
    const jobs = task.dispatchMany(Array.from({ length: 100 }, () => ({ data: {} })))
    await Promise.all(jobs.map((job) => job.result))
    await ended("process t", 100)
    const byJob = new Map(
      collector
        .named("create t")
        .map((span) => [span.attributes["messaging.message.id"], span.spanContext().spanId]),
    )
    expect([...byJob.keys()]).toEqual(jobs.map((job) => job.id))
    expect(collector.one("send t").links.map((link) => link.context.spanId)).toEqual([...byJob.values()])
    for (const run of collector.named("process t"))
      expect(run.parentSpanContext?.spanId).toBe(byJob.get(run.attributes["messaging.message.id"]))
  })

  test("baggage reaches the handler", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const task = app.task("t", async () => propagation.getActiveBaggage()?.getEntry("tenant")?.value)
    await app.start()
    const baggage = propagation.createBaggage({ tenant: { value: "acme" } })
    const job = context.with(propagation.setBaggage(ROOT_CONTEXT, baggage), () => task.dispatch({}))
    expect(await job.result).toBe("acme")
    expect(await task.dispatch({}).result).toBeUndefined()
  })

  test("what was dispatched unsampled stays so, where others sample everything", async () => {
    const adapter = host.adapter()
    const silent = new SpanCollector({ register: false, sampler: new AlwaysOffSampler() })
    const sender = open({ adapter, observers: [opentelemetry({ tracerProvider: silent.provider })] })
    const app = open({ adapter: host.sibling(adapter), observers: observers() })
    const inside: unknown[] = []
    const task = sender.task("t")
    app.task("t", {
      retry: { attempts: 2, delay: 1 },
      async handler(_: unknown, ctx) {
        inside.push(ctx.traceparent?.slice(-2), trace.getActiveSpan()?.isRecording())
        if (ctx.attempt === 1) throw new Error("once more")
      },
    })
    app.on("task:failed", () => {})
    await app.start()
    await task.dispatch({}).result
    expect(inside).toEqual(["00", false, "00", false])
    expect(collector.named("process t")).toEqual([])
    await silent.provider.shutdown()
  })
})

describe("traces over hours of virtual time", () => {
  test("a job delayed by an hour begins a trace of its own, linked to its dispatch", async () => {
    const clock = manualClock()
    const app = open({ adapter: memoryAdapter({ clock }), observers: observers() })
    const task = app.task("t", async () => {})
    await app.start()
    const handle = task.dispatch({}, { delay: "1h" })
    await handle
    await until(async () => {
      await clock.advance(60_000)
      return collector.named("process t").length === 1
    }, "it has run")
    expect(traces()).toBe(`
trace 1
  #1 send t (PRODUCER)
trace 2
  #2 process t (CONSUMER) attempt=1 outcome=completed ~> #1
`)
    expect(collector.one("process t").attributes).toMatchObject({
      "messaging.taskora.delay_ms": 3_600_000,
    })
    const { dispatch, attempts } = (await handle.getJob())!.trace
    expect([dispatch, ...attempts]).toEqual(
      [collector.one("send t"), collector.one("process t")].map((span) => span.spanContext().traceId),
    )
  })

  test("retries after an hour begin a trace each; one soon after joins that of the run before", async () => {
    const clock = manualClock()
    const app = open({ adapter: memoryAdapter({ clock }), observers: observers() })
    const delays = [0, 3_600_000, 1000, 0]
    const task = app.task("t", {
      retry: { attempts: 4, backoff: (attempt) => delays[attempt]! },
      handler: async (_: unknown, ctx) => {
        if (ctx.attempt < 4) throw new Error("once more")
      },
    })
    app.on("task:failed", () => {})
    await app.start()
    const handle = task.dispatch({})
    await handle
    await until(async () => {
      await clock.advance(1000)
      return collector.named("process t").length > 0
    }, "it has run once")
    await until(async () => {
      await clock.advance(60_000)
      return collector.named("process t").length > 1
    }, "it has run again")
    await until(async () => {
      await clock.advance(500)
      return collector.named("process t").length === 4
    }, "it has run four times")
    expect(traces()).toBe(`
trace 1
  #1 send t (PRODUCER)
    #2 process t (CONSUMER) attempt=1 outcome=retried will_retry=true ERROR Error [exception, retry scheduled] ~> #1
trace 2
  #3 process t (CONSUMER) attempt=2 outcome=retried will_retry=true ERROR Error [exception, retry scheduled] ~> #1 ~> #2
    #4 process t (CONSUMER) attempt=3 outcome=retried will_retry=true ERROR Error [exception, retry scheduled] ~> #1 ~> #3
      #5 process t (CONSUMER) attempt=4 outcome=completed ~> #1 ~> #4
`)
  })

  test("relation: the dispatch before the task before the app", async () => {
    const clock = manualClock()
    const apps = [opentelemetry({ metrics: false, relation: "link" })]
    const app = open({ adapter: memoryAdapter({ clock }), observers: apps })
    const plain = app.task("plain", async () => {})
    const near = app.task("near", { trace: { relation: "parent" }, handler: async () => {} })
    await app.start()
    plain.dispatch({})
    near.dispatch({}, { delay: "1h" })
    near.dispatch({}, { trace: { relation: "link" } })
    await until(async () => {
      await clock.advance(60_000)
      return collector.finished.filter(({ name }) => name.startsWith("process")).length === 3
    }, "all have run")
    const parent = (span: { parentSpanContext?: { spanId: string } }) => span.parentSpanContext?.spanId
    const [late, linked] = collector.named("send near").map((span) => span.spanContext().spanId)
    const [second, first] = collector.named("process near")
    expect(parent(collector.one("process plain"))).toBeUndefined()
    expect([parent(first!), parent(second!)]).toEqual([late, undefined])
    expect(second!.links.map((link) => link.context.spanId)).toEqual([linked])
  })
})

onRedis("a stall", (host) => {
  test("is told by who recovered it, and linked to the lost run", async () => {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    const { prefix } = host.adapter()
    const stall = { interval: 300, maxCount: 1 }
    const lost: Adapter = redisAdapter(proxy.url, { prefix })
    const first = open({ adapter: lost, observers: observers() }, true)
    const second = open({ adapter: redisAdapter(host.url()!, { prefix }), observers: observers() })
    first.on("worker:error", () => {})
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const task = first.task("t", { stall, handler: () => held })
    try {
      await first.start()
      const handle = task.dispatch({})
      await until(async () => (await handle.getJob())?.trace.attempts.length === 1, "its run is known")
      proxy.cut()
      proxy.refusing = true
      second.task("t", { stall, handler: async () => {} })
      await second.start()
      await ended("process t", 1)
      proxy.refusing = false
      release()
      await ended("process t", 2)
      const job = await second.inspect().find(handle.id)
      const recover = collector.one("recover t")
      expect(job?.trace).toEqual({
        dispatch: recover.spanContext().traceId,
        attempts: [recover.spanContext().traceId],
      })
      expect(traces()).toBe(`
trace 1
  #1 send t (PRODUCER)
    #2 process t (CONSUMER) attempt=1 outcome=lost ~> #1
    #3 recover t (INTERNAL) attempt=1 action=recovered count=1 ~> #2
    #4 process t (CONSUMER) attempt=1 outcome=completed ~> #1 ~> #2
`)
    } finally {
      proxy.refusing = false
      await first.close({ timeout: 500 })
      await proxy.stop()
    }
  })
})
