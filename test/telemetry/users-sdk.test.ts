import { metrics as metricsApi, trace } from "@opentelemetry/api"
import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import {
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics"
import {
  BatchSpanProcessor,
  type Sampler,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import { parseExposition } from "../support/exposition.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { MetricCollector } from "../support/metrics.ts"
import { resetTelemetry, SpanCollector } from "../support/spans.ts"

function fail(where: string): never {
  throw new Error(`broken in ${where}`)
}

/** Each way in which the part of an SDK that sends can be wrong. `release` lets what hangs answer. */
interface Sending {
  exported(done: (result: ExportResult) => void): void
  flushed(): Promise<void>
}

function senders(): Readonly<Record<string, Sending & { release(): void }>> {
  const held: (() => void)[] = []
  let released = false
  const hang = (answer: () => void) => (released ? answer() : void held.push(answer))
  const release = () => {
    released = true
    for (const answer of held.splice(0)) answer()
  }
  return {
    "never answers": {
      exported: (done) => hang(() => done({ code: ExportResultCode.SUCCESS })),
      flushed: () => new Promise((resolve) => hang(resolve)),
      release,
    },
    fails: {
      exported: (done) => done({ code: ExportResultCode.FAILED, error: new Error("no backend") }),
      flushed: () => Promise.reject(new Error("no backend")),
      release,
    },
    throws: {
      exported: () => fail("export"),
      flushed: () => fail("flush"),
      release,
    },
  }
}

function exporters({ exported, flushed }: Sending): { spans: SpanExporter; metrics: PushMetricExporter } {
  const shutdown = async () => {}
  return {
    spans: { export: (_, done) => exported(done), forceFlush: flushed, shutdown },
    metrics: { export: (_, done) => exported(done), forceFlush: flushed, shutdown },
  }
}

/** Parts of an SDK that run inside our calls. */
const insiders: Readonly<Record<string, { processor?: Partial<SpanProcessor>; sampler?: Sampler }>> = {
  "a processor throws as spans start": { processor: { onStart: () => fail("onStart") } },
  "a processor throws as spans end": { processor: { onEnd: () => fail("onEnd") } },
  "a sampler throws": { sampler: { shouldSample: () => fail("shouldSample"), toString: () => "broken" } },
}

onBothHosts("an SDK of the user's", (host) => {
  const open = testApps()
  let metrics: Prometheus
  let errors: string[]

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    metrics = prometheus({ port: false })
    errors = []
  })
  afterEach(() => {
    vi.restoreAllMocks()
    resetTelemetry()
    metricsApi.disable()
  })

  function makeApp() {
    const app = open({ adapter: host.adapter(), observers: [opentelemetry(), metrics] }, true)
    app.on("worker:error", (error) => errors.push(error.message))
    const task = app.task("t", {
      concurrency: 4,
      retry: { attempts: 2, delay: 1 },
      async handler(n: number, ctx) {
        if (n % 5 === 0 && ctx.attempt === 1) throw new Error("once more")
        return n
      },
    })
    return { app, task }
  }

  /** Twenty jobs to their ends, four of which are retried; what they came to is what our own numbers say. */
  async function work({ app, task }: ReturnType<typeof makeApp>): Promise<void> {
    await app.start()
    const jobs = task.dispatchMany(Array.from({ length: 20 }, (_, n) => ({ data: n })))
    expect(await Promise.all(jobs.map((job) => job.result))).toEqual(Array.from({ length: 20 }, (_, n) => n))
    const total = async (name: string) => {
      const families = parseExposition((await metrics.render()).body, "text")
      return families.get(name)?.samples.reduce((sum, { value }) => sum + value, 0)
    }
    await until(async () => (await total("taskora_jobs_completed_total")) === 20, "all are counted")
    expect(await total("taskora_attempts_started_total")).toBe(24)
    expect(await total("taskora_jobs_retried_total")).toBe(4)
  }

  test("that is not there at all is missed by nobody", async () => {
    const made = makeApp()
    await work(made)
    const job = made.task.dispatch(1)
    await job.result
    expect((await job.getJob())?.trace).toEqual({ attempts: [] })
    await made.app.close()
    expect(errors).toEqual([])
  })

  test.each(["the app is made", "the app has started", "a job has run"])(
    "may be registered after %s: from then on it is told all, and totals are whole",
    async (moment) => {
      const { app, task } = makeApp()
      if (moment !== "the app is made") await app.start()
      const before = moment === "a job has run" ? 1 : 0
      for (let n = 0; n < before; n++) await task.dispatch(1).result

      const spans = new SpanCollector()
      const numbers = new MetricCollector()
      await app.start()
      await trace.getTracer("user").startActiveSpan("request", async (span) => {
        await task.dispatch(5).result
        span.end()
      })
      await until(() => spans.named("process t").length === 2, "both runs have ended")
      const send = spans.one("send t").spanContext()
      expect(spans.one("send t").parentSpanContext?.spanId).toBe(spans.one("request").spanContext().spanId)
      for (const run of spans.named("process t")) expect(run.parentSpanContext?.spanId).toBe(send.spanId)
      const points = async (name: string) =>
        (await numbers.points(name)).map((point) => point.replace(/^prefix=\w+ /, ""))
      expect(await points("taskora.jobs.dispatched")).toEqual([`task=t: ${before + 1}`])
      expect(await points("taskora.jobs.completed")).toEqual([`task=t: ${before + 1}`])
      expect(await points("taskora.jobs.retried")).toEqual(["task=t: 1"])
      expect(await points("taskora.job.duration")).toContain("task=t outcome=retried: 1")
      await app.close()
      await spans.stop()
      await numbers.stop()
      expect(errors).toEqual([])
    },
  )

  test.each(Object.keys(senders()))(
    "whose backend %s: jobs end first, and close() does not wait",
    async (how) => {
      const sending = senders()[how]!
      const order: string[] = []
      const { spans, metrics: numbers } = exporters({
        ...sending,
        exported: (done) =>
          sending.exported((result) => {
            order.push("the backend answered")
            done(result)
          }),
      })
      const provider = new NodeTracerProvider({
        spanProcessors: [
          new BatchSpanProcessor(spans, { scheduledDelayMillis: 1, maxExportBatchSize: 1 }),
          new SimpleSpanProcessor(spans),
        ],
      })
      provider.register()
      const reader = new PeriodicExportingMetricReader({
        exporter: numbers,
        exportIntervalMillis: 5,
        exportTimeoutMillis: 5,
      })
      const meters = new MeterProvider({ readers: [reader] })
      metricsApi.setGlobalMeterProvider(meters)
      const made = makeApp()
      await work(made)
      order.push("jobs are done")
      await made.app.close()
      order.push("the app is closed")
      if (how === "never answers") expect(order).toEqual(["jobs are done", "the app is closed"])
      expect(errors).toEqual([])
      sending.release()
      await Promise.allSettled([provider.shutdown(), meters.shutdown()])
      if (how === "never answers") expect(order.at(-1)).toBe("the backend answered")
    },
  )

  test.each(Object.keys(insiders))("of which %s: no job is disturbed, and it is told once", async (how) => {
    const { processor, sampler } = insiders[how]!
    const nothing: SpanProcessor = {
      onStart() {},
      onEnd() {},
      forceFlush: async () => {},
      shutdown: async () => {},
    }
    new NodeTracerProvider({
      ...(sampler && { sampler }),
      spanProcessors: [{ ...nothing, ...processor }],
    }).register()
    const made = makeApp()
    await work(made)
    await made.app.close()
    expect(errors).toEqual([expect.stringMatching(/^broken in /)])
  })
})
