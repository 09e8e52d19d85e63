import { context, trace } from "@opentelemetry/api"
import { logs } from "@opentelemetry/api-logs"
import {
  InMemoryLogRecordExporter,
  LoggerProvider,
  type ReadableLogRecord,
  SimpleLogRecordProcessor,
} from "@opentelemetry/sdk-logs"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type OpenTelemetryOptions, opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { SpanCollector } from "../support/spans.ts"

onBothHosts("lines of ctx.log", (host) => {
  const open = testApps()
  let collector: SpanCollector
  let exporter: InMemoryLogRecordExporter

  beforeEach(() => {
    collector = new SpanCollector()
    exporter = new InMemoryLogRecordExporter()
    logs.setGlobalLoggerProvider(
      new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] }),
    )
  })
  afterEach(async () => {
    logs.disable()
    await collector.stop()
  })

  async function logged(options: OpenTelemetryOptions): Promise<ReadableLogRecord[]> {
    const app = open({ adapter: host.adapter(), observers: [opentelemetry(options)] })
    const task = app.task("t", async (_: unknown, ctx) => {
      ctx.log.info("began", { secret: 1 })
      ctx.log.warn("slow")
      await new Promise((resolve) => setImmediate(resolve))
      ctx.log.error("x".repeat(20_000))
    })
    await app.start()
    await task.dispatch({}).result
    await app.close()
    return exporter.getFinishedLogRecords()
  }

  test("go to OpenTelemetry, in the trace of their run", async () => {
    const records = await logged({})
    expect(records.map((record) => [record.severityText, record.severityNumber])).toEqual([
      ["INFO", 9],
      ["WARN", 13],
      ["ERROR", 17],
    ])
    expect(records.slice(0, 2).map((record) => record.body)).toEqual(["began", "slow"])
    expect(records[2]!.body).toHaveLength(16_384)
    const run = collector.one("process t")
    for (const { spanContext, attributes } of records) {
      expect(spanContext).toMatchObject({
        traceId: run.spanContext().traceId,
        spanId: run.spanContext().spanId,
      })
      expect(attributes).toEqual({
        "messaging.destination.name": "t",
        "messaging.message.id": run.attributes["messaging.message.id"],
        "messaging.taskora.attempt": 1,
        "messaging.taskora.worker": run.attributes["messaging.taskora.worker"],
      })
    }
  })

  test("show their extras as the user wants them shown", async () => {
    const records = await logged({ capture: { data: (value) => Object.keys(value).join() } })
    expect(records.map((record) => record.attributes["messaging.taskora.meta"])).toEqual([
      "secret",
      undefined,
      undefined,
    ])
  })

  test("go there also where no spans are made", async () => {
    const records = await logged({ traces: false })
    expect(records).toHaveLength(3)
    expect(records[0]!.spanContext).toBeUndefined()
    expect(trace.getSpan(context.active())).toBeUndefined()
  })
})
