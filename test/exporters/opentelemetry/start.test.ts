import { context, metrics, propagation, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api"
import { logs } from "@opentelemetry/api-logs"
import { LoggerProvider } from "@opentelemetry/sdk-logs"
import { InMemorySpanExporter, type ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import {
  opentelemetry,
  startTelemetry,
  type Telemetry,
  type TelemetryOptions,
} from "../../../exporters/opentelemetry/index.ts"
import { loadPackages, tryPackages } from "../../../exporters/opentelemetry/packages.ts"
import { producerInUse } from "../../../exporters/opentelemetry/producer.ts"
import { ReportingProcessor } from "../../../exporters/opentelemetry/reporting.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { OtlpReceiver } from "../../support/otlp-receiver.ts"
import { resetTelemetry } from "../../support/spans.ts"

let receiver: OtlpReceiver
let telemetry: Telemetry | undefined
const reports: string[] = []

beforeEach(async () => {
  receiver = await OtlpReceiver.start()
})
afterEach(async () => {
  receiver.behaviour = "accept"
  await telemetry?.shutdown()
  telemetry = undefined
  await receiver.stop()
  vi.unstubAllEnvs()
  resetTelemetry()
  reports.length = 0
})

async function start(options: TelemetryOptions = {}) {
  const report = (message: string) => void reports.push(message)
  telemetry = await startTelemetry({ serviceName: "mailer", endpoint: receiver.endpoint, report, ...options })
  const engine = new FakeEngine(opentelemetry())
  engine.observer.open?.()
  return engine
}

function runOnce(engine: FakeEngine) {
  const attempt = engine.claim(engine.dispatch())
  engine.run(attempt, () => {})
  engine.completed(attempt)
}

describe("startTelemetry", () => {
  it("delivers spans and metrics before the app has closed", async () => {
    const engine = await start()
    runOnce(engine)
    await engine.observer.close?.()
    expect(receiver.spans.map((span) => span.name)).toEqual(["send mail", "process mail"])
    const completed = receiver.metrics.find((metric) => metric.name === "taskora.jobs.completed")
    expect(completed?.sum?.dataPoints[0]).toMatchObject({ asDouble: 1 })
    expect(reports).toEqual([])
  })

  it("names the service, and this instance of it", async () => {
    const engine = await start({ attributes: { "deployment.environment.name": "test" } })
    runOnce(engine)
    await telemetry?.flush()
    expect(receiver.resources.length).toBeGreaterThan(1)
    for (const resource of receiver.resources)
      expect(resource).toMatchObject({
        "service.name": "mailer",
        "service.instance.id": expect.stringMatching(/^[\da-f-]{36}$/),
        "deployment.environment.name": "test",
      })
    expect(new Set(receiver.resources.map((resource) => resource["service.instance.id"])).size).toBe(1)
  })

  it("sends to a base that has a path, with the headers given", async () => {
    const engine = await start({ endpoint: `${receiver.endpoint}/tenant/`, headers: { "x-key": "k1" } })
    runOnce(engine)
    await telemetry?.flush()
    const paths = receiver.requests.map((request) => request.path).sort()
    expect(paths).toEqual(["/tenant/v1/metrics", "/tenant/v1/traces"])
    for (const { headers } of receiver.requests) expect(headers["x-key"]).toBe("k1")
  })

  it("honours the OTEL_* variables", async () => {
    vi.stubEnv("OTEL_SERVICE_NAME", "from-env")
    vi.stubEnv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7")
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    vi.stubEnv("OTEL_METRICS_EXPORTER", "none")
    vi.stubEnv("OTEL_PROPAGATORS", "tracecontext")
    telemetry = await startTelemetry()
    const engine = new FakeEngine(opentelemetry())
    runOnce(engine)
    await telemetry.flush()
    expect(receiver.resources).toEqual([
      expect.objectContaining({ "service.name": "from-env", "service.instance.id": "pod-7" }),
    ])
    expect(receiver.requests.map((request) => request.path)).toEqual(["/v1/traces"])
  })

  it.each([
    ["none", [], []],
    ["tracecontext", ["traceparent"], []],
    ["baggage, b3", ["baggage"], [expect.stringContaining('"b3" is not known here')]],
  ])("propagates as OTEL_PROPAGATORS=%s says", async (wanted, headers, said) => {
    vi.stubEnv("OTEL_PROPAGATORS", wanted)
    const engine = await start()
    const baggage = propagation.createBaggage({ tenant: { value: "acme" } })
    const job = context.with(propagation.setBaggage(ROOT_CONTEXT, baggage), () => engine.dispatch())
    expect(Object.keys(job.headers)).toEqual(headers)
    expect(reports).toEqual(said)
  })

  it("does nothing where OTEL_SDK_DISABLED says so", async () => {
    vi.stubEnv("OTEL_SDK_DISABLED", "true")
    const engine = await start()
    runOnce(engine)
    await engine.observer.close?.()
    expect(receiver.requests).toEqual([])
  })

  it("does not let a receiver that hangs hold close()", async () => {
    receiver.behaviour = "hang"
    const engine = await start({ flushTimeout: 20 })
    runOnce(engine)
    await engine.observer.close?.()
    expect(reports).toEqual(["the flush did not end within 20 ms"])
  })

  it("reports spans that a receiver refused, and metrics that did not arrive", async () => {
    receiver.behaviour = "refuse"
    const engine = await start()
    runOnce(engine)
    await telemetry?.flush()
    expect(reports).toContainEqual(expect.stringMatching(/^2 spans were lost: /))
    expect(reports).toContainEqual(expect.stringMatching(/^metrics did not arrive: /))
  })

  it("reports spans that the queue had no room for, and goes on", async () => {
    vi.stubEnv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    vi.stubEnv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    const engine = await start()
    receiver.behaviour = "hang"
    for (let n = 0; n < 8; n++) runOnce(engine)
    expect(reports).toEqual([expect.stringMatching(/spans were lost: the queue of 4 is full$/)])
  })

  it("has room for a burst of spans and for the label sets of many tasks, where the SDK's defaults have not", async () => {
    await start()
    for (let n = 0; n < 3000; n++) trace.getTracer("app").startSpan("burst").end()
    const counter = metrics.getMeter("taskora").createCounter("sets")
    for (let n = 0; n < 2500; n++) counter.add(1, { n })
    await telemetry?.flush()
    expect(receiver.spans).toHaveLength(3000)
    const sets = receiver.metrics.find((metric) => metric.name === "sets")
    expect(sets?.sum?.dataPoints).toHaveLength(2500)
    expect(reports).toEqual([])
  })

  it("can be started again after its shutdown, and not before", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    runOnce(await start())
    await expect(startTelemetry()).rejects.toThrow("registered already")
    // It has not even begun to export what belongs to the first one.
    expect(receiver.requests).toEqual([])
    await telemetry?.shutdown()
    expect(receiver.spans).toHaveLength(2)
    const engine = await start()
    runOnce(engine)
    await telemetry?.flush()
    expect(receiver.spans).toHaveLength(4)
  })

  it("has metrics fetched where they are kept, and recorded where differences are wanted", async () => {
    const durations = () => receiver.metrics.find((metric) => metric.name === "taskora.job.duration")
    runOnce(await start())
    expect(producerInUse()).toBeDefined()
    await telemetry?.flush()
    expect(durations()?.histogram).toMatchObject({ aggregationTemporality: 2, dataPoints: [{ count: 1 }] })
    await telemetry?.shutdown()
    expect(producerInUse()).toBeUndefined()
    for (const preference of ["delta", "lowmemory"]) {
      vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
      const engine = await start()
      expect(producerInUse()).toBeUndefined()
      for (let n = 0; n < 2; n++) {
        receiver.metrics.length = 0
        runOnce(engine)
        await telemetry?.flush()
        expect(durations()?.histogram).toMatchObject({
          aggregationTemporality: 1,
          dataPoints: [{ count: 1 }],
        })
      }
      await telemetry?.shutdown()
    }
  })

  it("delivers lines of ctx.log, in the trace of their run, before the app has closed", async () => {
    const engine = await start()
    await engine.observer.open?.()
    const attempt = engine.claim(engine.dispatch())
    engine.run(attempt, () => engine.tell({ kind: "log", attempt, level: "warn", message: "slow" }))
    engine.completed(attempt)
    await engine.observer.close?.()
    expect(receiver.lines).toMatchObject([
      { severityText: "WARN", body: { stringValue: "slow" }, traceId: attempt.trace?.traceId },
    ])
    expect(receiver.resources.at(-1)).toMatchObject({ "service.name": "mailer" })
    const provider = logs.getLoggerProvider()
    await telemetry?.shutdown()
    expect(logs.getLoggerProvider()).not.toBe(provider)
  })

  it("makes nothing of ctx.log where OTEL_LOGS_EXPORTER says so, and leaves a provider of the user's alone", async () => {
    vi.stubEnv("OTEL_LOGS_EXPORTER", "none")
    const provider = logs.getLoggerProvider()
    await start()
    expect(logs.getLoggerProvider()).toBe(provider)
    await telemetry?.shutdown()
    vi.stubEnv("OTEL_LOGS_EXPORTER", "otlp")
    const theirs = new LoggerProvider()
    logs.setGlobalLoggerProvider(theirs)
    await start()
    await telemetry?.shutdown()
    expect(logs.getLoggerProvider()).toBe(theirs)
    logs.disable()
  })

  it("leaves an SDK of the user's alone", async () => {
    const provider = new NodeTracerProvider()
    trace.setGlobalTracerProvider(provider)
    await expect(startTelemetry()).rejects.toThrow("leave startTelemetry() out")
    expect(trace.getTracer("app").startSpan("still theirs").isRecording()).toBe(true)
    await provider.shutdown()
  })

  it("rejects wrong options by name", async () => {
    const wrong = (options: object) => startTelemetry(options as TelemetryOptions)
    await expect(wrong({ serviceNmae: "x" })).rejects.toThrow('did you mean "serviceName"?')
    await expect(wrong({ endpoint: "localhost:4318" })).rejects.toThrow("is not an http(s) URL")
    await expect(wrong({ flushTimeout: 0 })).rejects.toThrow("flushTimeout")
  })
})

it("does not take spans that are recorded but not sampled for a full queue", () => {
  const ignore = { onStart() {}, onEnd() {}, forceFlush: async () => {}, shutdown: async () => {} }
  const processor = new ReportingProcessor(new InMemorySpanExporter(), {
    size: 1,
    report: (message) => reports.push(message),
    makeBatches: () => ignore,
  })
  const span = { spanContext: () => ({ traceFlags: TraceFlags.NONE }) } as ReadableSpan
  for (let n = 0; n < 3; n++) processor.onEnd(span)
  expect(reports).toEqual([])
})

describe("packages of the SDK", () => {
  const missing = (name: string) => async () => {
    throw Object.assign(new Error(`Cannot find package '${name}' imported from here`), {
      code: "ERR_MODULE_NOT_FOUND",
    })
  }

  it("that are missing are named, with the command that installs them", async () => {
    const loaders = {
      "@otel/a": missing("@otel/a"),
      "@otel/b": async () => ({}),
      "@otel/c": missing("@otel/c"),
    }
    await expect(loadPackages(loaders, "startTelemetry()")).rejects.toThrow("npm install @otel/a @otel/c")
  })

  it("that one can do without are loaded where all of them are there", async () => {
    const fs = () => import("node:fs")
    expect(await tryPackages({ "node:fs": fs, "@otel/a": missing("@otel/a") })).toEqual({
      loaded: undefined,
      missing: ["@otel/a"],
    })
    expect((await tryPackages({ "node:fs": fs })).loaded).toHaveProperty(["node:fs", "existsSync"])
  })

  it("that are broken say so themselves", async () => {
    await expect(loadPackages({ "@otel/a": missing("left-pad") }, "x")).rejects.toThrow("'left-pad'")
  })
})
