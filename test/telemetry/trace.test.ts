import { context, trace } from "@opentelemetry/api"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { opentelemetry, startTelemetry, type Telemetry } from "../../exporters/opentelemetry/index.ts"
import type { JobInfo } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { attributes, OtlpReceiver, type OtlpSpan } from "../support/otlp-receiver.ts"
import { resetTelemetry } from "../support/spans.ts"

const kinds = { internal: 1, producer: 4, consumer: 5 }
const unset = 0
const failed = 2

onBothHosts("the trace of a job that failed twice and then completed", (host) => {
  const open = testApps()
  let receiver: OtlpReceiver
  let telemetry: Telemetry
  let spans: readonly OtlpSpan[]
  let job: JobInfo
  let inspected: JobInfo | undefined
  let printed: string[]
  const traceparents: (string | undefined)[] = []

  beforeEach(async () => {
    receiver = await OtlpReceiver.start()
    telemetry = await startTelemetry({ serviceName: "mailer", endpoint: receiver.endpoint })
    const print = vi.spyOn(console, "error").mockImplementation(() => {})
    const app = open({ adapter: host.adapter(), observers: [opentelemetry()] })
    const tracer = trace.getTracer("user")
    const mail = app.task("mail", {
      retry: { attempts: 3, backoff: "fixed", delay: 2, jitter: false },
      async handler(_: unknown, ctx) {
        traceparents.push(ctx.traceparent)
        ctx.log.info("under way")
        await new Promise((resolve) => setImmediate(resolve))
        await tracer.startActiveSpan("lookup", async (span) => {
          await Promise.resolve()
          tracer.startSpan("connect").end()
          span.end()
        })
        if (ctx.attempt < 3) throw new RangeError(`no luck in attempt ${ctx.attempt}`)
        return "sent"
      },
    })
    await app.start()
    const handle = tracer.startActiveSpan("request", (span) => {
      const dispatched = mail.dispatch({ to: "a" }, { priority: 7 })
      span.end()
      return dispatched
    })
    expect(await handle.result).toBe("sent")
    job = (await handle.getJob())!
    inspected = await app.inspect().find(handle.id)
    await app.close()
    spans = receiver.spans
    printed = print.mock.calls.map(([line]) => String(line))
  })

  afterEach(async () => {
    traceparents.length = 0
    vi.restoreAllMocks()
    await telemetry.shutdown()
    await receiver.stop()
    resetTelemetry()
  })

  const named = (name: string) => spans.filter((span) => span.name === name)
  const runs = () =>
    named("process mail").sort((a, b) => Number(about(a, "attempt")) - Number(about(b, "attempt")))
  const about = (span: OtlpSpan, name: string) => attributes(span.attributes)[`messaging.taskora.${name}`]
  const linked = (span: OtlpSpan) => span.links.map((link) => link.spanId)

  test("has one send and three process spans, in their places", () => {
    const [request] = named("request")
    const [send, ...more] = named("send mail")
    expect(more).toEqual([])
    expect(send).toMatchObject({
      kind: kinds.producer,
      parentSpanId: request!.spanId,
      status: { code: unset },
    })
    const [first, second, third, ...others] = runs()
    expect(others).toEqual([])
    for (const run of [first, second, third])
      expect(run).toMatchObject({ kind: kinds.consumer, parentSpanId: send!.spanId })
    expect(linked(first!)).toEqual([send!.spanId])
    expect(linked(second!)).toEqual([send!.spanId, first!.spanId])
    expect(linked(third!)).toEqual([send!.spanId, second!.spanId])
    const own = spans.filter(({ name }) => !name.startsWith("worker"))
    expect(own).toHaveLength(1 + 1 + 3 + 6)
    expect(new Set(own.map((span) => span.traceId)).size).toBe(1)
  })

  test("has the handler's own spans inside the run that made them", () => {
    const lookups = named("lookup")
    expect(lookups.map((span) => span.parentSpanId).sort()).toEqual(
      runs()
        .map((span) => span.spanId)
        .sort(),
    )
    const connects = named("connect").map((span) => span.parentSpanId)
    expect(connects.sort()).toEqual(lookups.map((span) => span.spanId).sort())
  })

  test("tells how each run ended", () => {
    const [first, second, third] = runs()
    for (const [index, run] of [first, second].entries()) {
      const attempt = index + 1
      expect(run!.status).toEqual({ code: failed })
      expect(attributes(run!.attributes)).toMatchObject({
        "error.type": "RangeError",
        "messaging.taskora.outcome": "retried",
        "messaging.taskora.will_retry": true,
      })
      const [exception, retry] = run!.events
      expect(exception?.name).toBe("exception")
      expect(attributes(exception!.attributes)).toMatchObject({
        "exception.type": "RangeError",
        "exception.message": `no luck in attempt ${attempt}`,
        "exception.stacktrace": expect.stringContaining("RangeError: no luck"),
      })
      expect(retry?.name).toBe("retry scheduled")
      expect(attributes(retry!.attributes)).toEqual({
        "messaging.taskora.next_attempt": attempt + 1,
        "messaging.taskora.delay_ms": 2,
      })
    }
    expect(third).toMatchObject({ status: { code: unset }, events: [] })
    expect(about(third!, "outcome")).toBe("completed")
    expect(attributes(third!.attributes)).not.toHaveProperty("error.type")
  })

  test("says what each span is about", () => {
    const [send] = named("send mail")
    const [, second] = runs()
    const common = {
      "messaging.system.name": "taskora",
      "messaging.destination.name": "mail",
      "messaging.message.id": job.id,
      "messaging.message.body.size": 10,
      "messaging.taskora.priority": 7,
      "messaging.taskora.delay_ms": 0,
    }
    expect(attributes(send!.attributes)).toMatchObject({
      ...common,
      "messaging.operation.name": "send",
      "messaging.operation.type": "send",
    })
    expect(attributes(second!.attributes)).toMatchObject({
      ...common,
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.taskora.attempt": 2,
      "messaging.taskora.max_attempts": 3,
      "messaging.taskora.wait_ms": expect.any(Number),
      "messaging.taskora.worker": attributes(send!.attributes)["messaging.client.id"],
    })
    const url = host.url()
    const server = url === undefined ? undefined : Number(new URL(url).port)
    expect(attributes(second!.attributes)["server.port"]).toBe(server)
  })

  test("is named by the handle, the inspector, the context, the log and the error log", () => {
    const [send] = named("send mail")
    const three = runs()
    const traceId = send!.traceId
    expect(job.trace).toEqual({ dispatch: traceId, attempts: [traceId] })
    expect(inspected?.trace).toEqual(job.trace)
    expect(traceparents).toEqual(three.map((run) => `00-${traceId}-${run.spanId}-01`))
    expect(job.logs.map((line) => [line.traceId, line.spanId])).toEqual(
      three.map((run) => [traceId, run.spanId]),
    )
    expect(printed).toHaveLength(2)
    for (const [index, text] of printed.entries())
      expect(text.split("\n").at(-1)).toBe(`trace_id=${traceId} span_id=${three[index]!.spanId}`)
  })
})

test("nothing is left active", () => {
  expect(trace.getSpan(context.active())).toBeUndefined()
})
