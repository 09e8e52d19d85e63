import { context, propagation, type Span, trace } from "@opentelemetry/api"
import { ParentBasedSampler, type Sampler, SamplingDecision } from "@opentelemetry/sdk-trace-base"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import type { App } from "../../src/index.ts"
import { chain, chord } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import { untilAborted } from "../support/aborted.ts"
import { expectGolden, type Store } from "../support/golden-traces.ts"
import { onBothHosts, onRedis, type TestHost, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"
import { startProxy } from "../support/proxy.ts"
import { SpanCollector } from "../support/spans.ts"

/** What the user makes themselves: the request in which something is dispatched. */
const tracer = () => trace.getTracer("user")
const request = <T>(name: string, fn: (span: Span) => T | Promise<T>): Promise<T> =>
  tracer().startActiveSpan(name, async (span) => {
    try {
      return await fn(span)
    } finally {
      span.end()
    }
  })

let collector: SpanCollector
const open = testApps()

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
  collector = new SpanCollector()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await collector.stop()
})

/** The name of a sampler's spans that begin a trace decides: those of `unsampled` are left out. */
const byName: Sampler = new ParentBasedSampler({
  root: {
    shouldSample: (_context, _traceId, name) => ({
      decision: name === "unsampled" ? SamplingDecision.NOT_RECORD : SamplingDecision.RECORD_AND_SAMPLED,
    }),
    toString: () => "by name",
  },
})

function storeOf(host: TestHost): Store | undefined {
  const url = host.url()
  return url === undefined
    ? undefined
    : { address: new URL(url).hostname, ports: [Number(new URL(url).port)] }
}

onBothHosts("the spans of", (host) => {
  /** Closes the app, so that every span has ended, and compares them all. */
  async function expectSpans(name: string, app: App): Promise<void> {
    await app.close()
    expectGolden(name, collector.finished, storeOf(host))
  }

  const observers = () => [opentelemetry({ metrics: false })]

  test("an immediate job", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", async (_: object, ctx) => {
      ctx.progress(50)
      await request("lookup", () => tracer().startSpan("connect").end())
      return "sent"
    })
    await app.start()
    const handle = await request("request", () => ({ job: mail.dispatch({ to: "a" }) }))
    expect(await handle.job.result).toBe("sent")
    await expectSpans("immediate", app)
  })

  test("a job that is retried thrice", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", {
      retry: { attempts: 4, backoff: "fixed", delay: 2, jitter: false },
      async handler(_: object, ctx) {
        tracer().startSpan("lookup").end()
        if (ctx.attempt < 4) throw new RangeError(`no luck in attempt ${ctx.attempt}`)
      },
    })
    await app.start()
    await request("request", () => mail.dispatch({ to: "a" }, { priority: 7 }))
    await until(() => collector.named("process mail").length === 4, "it has run four times")
    await expectSpans("retried", app)
  })

  test("a job that fails for good", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", {
      handler: () => Promise.reject(new TypeError("no address")),
    })
    await app.start()
    await expect(mail.dispatch({ to: "a" }).result).rejects.toThrow("no address")
    await expectSpans("failed", app)
  })

  test("a job that is cancelled while active", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", {
      handler: (_: object, ctx) => untilAborted(ctx.signal),
      onCancel: () => tracer().startSpan("tidy up").end(),
    })
    await app.start()
    const handle = await request("request", () => ({ job: mail.dispatch({ to: "a" }) }))
    await until(async () => (await handle.job.getState()) === "active", "it runs")
    expect(await request("change of mind", () => handle.job.cancel({ reason: "no need" }))).toBe("requested")
    await until(() => collector.named("process mail").length === 1, "it has ended")
    await expectSpans("cancelled", app)
  })

  test("a job that another one dispatches", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", async () => tracer().startSpan("connect").end())
    const order = app.task("order", async () => {
      await request("lookup", () => mail.dispatch({ to: "a" }))
    })
    await app.start()
    await request("request", () => order.dispatch({}))
    await until(() => collector.named("process mail").length === 1, "both have run")
    await expectSpans("nested", app)
  })

  test("a hundred jobs dispatched at once", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const mail = app.task("mail", { concurrency: 10, handler: async () => {} })
    await app.start()
    const jobs = await request("request", () =>
      mail.dispatchMany(Array.from({ length: 100 }, (_, n) => ({ data: { n: n % 10 } }))),
    )
    await Promise.all(jobs.map((job) => job.result))
    await expectSpans("many", app)
  })

  test("a hundred jobs dispatched at once, each created", async () => {
    const app = open({
      adapter: host.adapter(),
      observers: [opentelemetry({ metrics: false, batchCreates: true })],
    })
    const mail = app.task("mail", { concurrency: 10, handler: async () => {} })
    await app.start()
    const jobs = await request("request", () =>
      mail.dispatchMany(Array.from({ length: 100 }, (_, n) => ({ data: { n: n % 10 } }))),
    )
    await Promise.all(jobs.map((job) => job.result))
    await expectSpans("many-created", app)
  })

  test("a workflow of twelve jobs", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const load = app.task("load", async (n: number) => n)
    const part = app.task("part", async (n: number) => n)
    const sum = app.task("sum", async (numbers: readonly number[]) => numbers.length)
    const mail = app.task("mail", async (n: number) => n)
    const file = app.task("file", async (numbers: readonly number[]) => numbers.length)
    await app.start()
    const side = [part.s(), part.s(), part.s(), part.s(), part.s()]
    const report = chain(
      load.s(1),
      chord(side, sum.s()),
      chord([mail.s(), chain(mail.s(), mail.s()), mail.s()], file.s()),
    )
    const handle = await request("request", () => ({ workflow: report.dispatch({ name: "report" }) }))
    expect(await handle.workflow.result).toBe(3)
    await until(() => collector.named("end report").length === 1, "its end is told")
    await expectSpans("workflow", app)
  })

  test("a job with baggage", async () => {
    const app = open({ adapter: host.adapter(), observers: observers() })
    const tenant = () => propagation.getActiveBaggage()?.getEntry("tenant")?.value ?? "nobody"
    const mail = app.task("mail", async () =>
      tracer()
        .startSpan("lookup", { attributes: { tenant: tenant() } })
        .end(),
    )
    const order = app.task("order", async () => void (await mail.dispatch({ to: "a" })))
    await app.start()
    const baggage = propagation.createBaggage({ tenant: { value: "acme" } })
    await context.with(propagation.setBaggage(context.active(), baggage), () =>
      request("request", () => order.dispatch({})),
    )
    await until(() => collector.named("process mail").length === 1, "both have run")
    await expectSpans("baggage", app)
  })

  test("an unsampled job, and of a sampled one beside it", async () => {
    await collector.stop()
    collector = new SpanCollector({ sampler: byName })
    const app = open({ adapter: host.adapter(), observers: observers() })
    const seen: (string | undefined)[] = []
    const mail = app.task("mail", {
      retry: { attempts: 2, delay: 1 },
      async handler(_: object, ctx) {
        seen.push(ctx.traceparent?.slice(-2))
        await request("lookup", () => {})
        if (ctx.attempt === 1) throw new Error("once more")
      },
    })
    const order = app.task("order", async () => void (await mail.dispatch({ to: "a" }).result))
    await app.start()
    await (await request("unsampled", () => ({ job: order.dispatch({}) }))).job.result
    expect(seen).toEqual(["00", "00"])
    await (await request("sampled", () => ({ job: order.dispatch({}) }))).job.result
    expect(seen).toEqual(["00", "00", "01", "01"])
    await expectSpans("unsampled", app)
  })
})

describe("in virtual time, the spans of", () => {
  test("a job delayed by an hour", async () => {
    const clock = manualClock()
    const app = open({ adapter: memoryAdapter({ clock }), observers: [opentelemetry({ metrics: false })] })
    const mail = app.task("mail", async () => tracer().startSpan("connect").end())
    await app.start()
    await request("request", () => mail.dispatch({ to: "a" }, { delay: "1h" }))
    await until(async () => {
      await clock.advance(60_000)
      return collector.named("process mail").length === 1
    }, "its hour has come")
    await app.close()
    expectGolden("delayed", collector.finished, undefined)
  })

  test("an unsampled job delayed by an hour, none", async () => {
    await collector.stop()
    collector = new SpanCollector({ sampler: byName })
    const clock = manualClock()
    const app = open({ adapter: memoryAdapter({ clock }), observers: [opentelemetry({ metrics: false })] })
    let runs = 0
    const mail = app.task("mail", async () => {
      runs++
      tracer().startSpan("connect").end()
    })
    await request("unsampled", () => mail.dispatch({ to: "a" }, { delay: "1h" }))
    await app.start()
    await until(async () => {
      await clock.advance(60_000)
      return runs === 1
    }, "its hour has come")
    await app.close()
    expectGolden("delayed-unsampled", collector.finished, undefined)
  })
})

onRedis("after a stall, the spans of", (host) => {
  test("the lost run, the recovery and the run that follows", async () => {
    const store = storeOf(host)!
    const proxy = await startProxy(store.ports[0]!)
    const { prefix } = host.adapter()
    const stall = { interval: 1000, maxCount: 1 }
    const observers = () => [opentelemetry({ metrics: false })]
    const first = open({ adapter: redisAdapter(proxy.url, { prefix }), observers: observers() }, true)
    const second = open({ adapter: redisAdapter(host.url()!, { prefix }), observers: observers() })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    first.on("worker:error", () => {})
    const mail = first.task("mail", { stall, handler: () => held })
    try {
      await first.start()
      const handle = await request("request", () => ({ job: mail.dispatch({ to: "a" }) }))
      await until(
        async () => (await handle.job.getJob())?.trace.attempts.length === 1,
        "its run is known to the store",
      )
      proxy.cut()
      proxy.refusing = true
      second.task("mail", { stall, handler: async () => {} })
      await second.start()
      await until(() => collector.named("process mail").length === 1, "another has run it")
      proxy.refusing = false
      release()
      await until(() => collector.named("process mail").length === 2, "the lost run has ended")
      await second.close()
      // The port of the proxy is the first worker's store; how often it was missed is left to chance.
      const spans = collector.finished.filter(({ name }) => !name.startsWith("worker "))
      expectGolden("stalled", spans, { ...store, ports: [...store.ports, proxy.port] })
    } finally {
      proxy.refusing = false
      release()
      await first.close({ timeout: 500 })
      await proxy.stop()
    }
  })
})
