import {
  createTraceState,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  SpanStatusCode,
  type TextMapPropagator,
  TraceFlags,
  trace,
} from "@opentelemetry/api"
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core"
import { B3InjectEncoding, B3Propagator } from "@opentelemetry/propagator-b3"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import type { JobHandle } from "../../src/index.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { SpanCollector } from "../support/spans.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"
const sound = `00-${traceId}-${spanId}-01`

const w3c = new CompositePropagator({
  propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
})

/** Sends these headers whatever the context is, and reads what the default would: a dispatcher that one cannot trust. */
function sending(headers: Readonly<Record<string, string>>): TextMapPropagator {
  return {
    inject(_, carrier, setter) {
      for (const [name, value] of Object.entries(headers)) setter.set(carrier, name, value)
    },
    extract: (context, carrier, getter) => w3c.extract(context, carrier, getter),
    fields: () => Object.keys(headers),
  }
}

function throwingIn(hook: "inject" | "extract"): TextMapPropagator {
  const fail = () => {
    throw new Error(`broken in ${hook}`)
  }
  return {
    inject(context, carrier, setter) {
      if (hook === "inject") fail()
      w3c.inject(context, carrier, setter)
      setter.set(carrier, "tracestate", "vendor=abc")
    },
    extract: (context, carrier, getter) =>
      hook === "extract" ? fail() : w3c.extract(context, carrier, getter),
    fields: () => w3c.fields(),
  }
}

onBothHosts("the context of a dispatch", (host) => {
  const open = testApps()
  let collector: SpanCollector
  let errors: string[]

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    collector = new SpanCollector()
    errors = []
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await collector.stop()
  })

  /** A job that fails once, dispatched inside a span. */
  async function work(
    propagator: TextMapPropagator,
    spans = 2,
  ): Promise<{ job: JobHandle<string | undefined> }> {
    propagation.disable()
    propagation.setGlobalPropagator(propagator)
    const app = open({ adapter: host.adapter(), observers: [opentelemetry({ metrics: false })] }, true)
    app.on("worker:error", (error) => errors.push(error.message))
    const task = app.task("t", {
      retry: { attempts: 2, delay: 1 },
      async handler(_: object, ctx) {
        if (ctx.attempt === 1) throw new Error("once more")
        const position = trace.getActiveSpan()?.spanContext()
        return position?.traceState?.serialize() ?? propagation.getActiveBaggage()?.getEntry("tenant")?.value
      },
    })
    await app.start()
    const job = trace.getTracer("user").startActiveSpan("request", (span) => {
      span.end()
      return task.dispatch({})
    })
    await job.result
    await until(() => collector.named("process t").length === spans, "both runs have ended")
    // Not bare: a handle can be awaited itself.
    return { job }
  }

  const parents = () => collector.named("process t").map((span) => span.parentSpanContext?.spanId)
  const links = () =>
    collector.named("process t").map((span) => span.links.map((link) => link.context.spanId))

  test.each([
    ["one header", new B3Propagator()],
    ["several headers", new B3Propagator({ injectEncoding: B3InjectEncoding.MULTI_HEADER })],
  ])("travels as B3, in %s", async (_, b3) => {
    const { job } = await work(b3)
    const send = collector.one("send t").spanContext()
    expect(collector.one("send t").parentSpanContext?.spanId).toBe(
      collector.one("request").spanContext().spanId,
    )
    expect(parents()).toEqual([send.spanId, send.spanId])
    // The previous run is known by our own means, whatever the propagator.
    const [first] = collector.named("process t")
    expect(links()).toEqual([[send.spanId], [send.spanId, first!.spanContext().spanId]])
    expect((await job.getJob())?.trace).toEqual({ dispatch: send.traceId, attempts: [send.traceId] })
    expect(errors).toEqual([])
  })

  test.each([
    ["W3C's", { traceparent: `00-${traceId}-${spanId}-00` }],
    ["B3's", { b3: `${traceId}-${spanId}-0` }],
  ])("keeps an unsampled job unsampled, in %s words, though it would begin a trace", async (_, headers) => {
    propagation.disable()
    const readers = new CompositePropagator({ propagators: [w3c, new B3Propagator()] })
    propagation.setGlobalPropagator({
      ...sending(headers as Record<string, string>),
      extract: (context, carrier, getter) => readers.extract(context, carrier, getter),
    })
    const app = open({ adapter: host.adapter(), observers: [opentelemetry({ metrics: false })] })
    const task = app.task("t", {
      trace: { relation: "link" },
      async handler(_: object, ctx) {
        trace.getTracer("user").startSpan("lookup").end()
        return ctx.traceparent
      },
    })
    await app.start()
    expect(await task.dispatch({}).result).toMatch(new RegExp(`^00-${traceId}-[\\da-f]{16}-00$`))
    await app.close()
    expect(collector.named("process t")).toEqual([])
    expect(collector.named("lookup")).toEqual([])
  })

  test("brings the trace's state along", async () => {
    const remote: SpanContext = {
      traceId,
      spanId,
      traceFlags: TraceFlags.SAMPLED,
      traceState: createTraceState("vendor=abc"),
    }
    const withState: TextMapPropagator = {
      inject: (_, carrier, setter) => w3c.inject(trace.setSpanContext(ROOT_CONTEXT, remote), carrier, setter),
      extract: (context, carrier, getter) => w3c.extract(context, carrier, getter),
      fields: () => w3c.fields(),
    }
    const { job } = await work(withState)
    expect(await job.result).toBe("vendor=abc")
    expect(parents()).toEqual([spanId, spanId])
  })

  test.each<[string, Readonly<Record<string, string>>]>([
    ["no traceparent", { traceparent: "not one" }],
    ["a traceparent with too much in it", { traceparent: `${sound}-and-more` }],
    ["ids of zeros", { traceparent: `00-${"0".repeat(32)}-${spanId}-01` }],
    ["a version that is none", { traceparent: `ff-${traceId}-${spanId}-01` }],
    ["control characters", { traceparent: `${sound}\n\t\0` }],
    ["half of a surrogate pair", { traceparent: "\ud800" }],
    ["nothing", {}],
  ])("is ignored where it is malformed: %s", async (_, headers) => {
    await work(sending(headers))
    const [first, second] = collector.named("process t")
    expect(first!.parentSpanContext).toBeUndefined()
    expect(first!.links).toEqual([])
    // Of the previous run it is known that it was.
    expect(second!.parentSpanContext?.spanId).toBe(first!.spanContext().spanId)
    expect(errors).toEqual([])
  })

  test("is cut to what may travel where it is oversized: the trace goes on, the rest is left behind", async () => {
    const { job } = await work(sending({ traceparent: sound, baggage: `tenant=${"a".repeat(9000)}` }))
    expect(await job.result).toBeUndefined()
    expect(parents()).toEqual([spanId, spanId])
    expect(errors).toEqual([])
  })

  test("is ignored where its own part is oversized", async () => {
    await work(sending({ traceparent: sound.padEnd(10_000, "0"), baggage: "tenant=acme" }))
    expect(collector.named("process t")[0]!.parentSpanContext).toBeUndefined()
    expect(errors).toEqual([])
  })

  test("is missing where the propagator throws, and the job runs", async () => {
    await work(throwingIn("inject"))
    expect(collector.named("process t")[0]!.parentSpanContext).toBeUndefined()
    expect(errors).toEqual(["broken in inject"])
  })

  test("is nothing to a job whose propagator cannot read it: it runs, without spans", async () => {
    await work(throwingIn("extract"), 0)
    expect(collector.one("send t").status.code).toBe(SpanStatusCode.UNSET)
    expect(errors).toEqual(["broken in extract"])
  })
})
