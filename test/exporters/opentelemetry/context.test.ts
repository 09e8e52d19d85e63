import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapPropagator,
  TraceFlags,
  trace,
} from "@opentelemetry/api"
import { AlwaysOffSampler, AlwaysOnSampler, type Sampler } from "@opentelemetry/sdk-trace-base"
import { afterEach, describe, expect, it } from "vitest"
import { opentelemetry } from "../../../exporters/opentelemetry/index.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { resetTelemetry, SpanCollector } from "../../support/spans.ts"

afterEach(resetTelemetry)

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"

function start(options?: ConstructorParameters<typeof SpanCollector>[0]) {
  return { spans: new SpanCollector(options), engine: new FakeEngine(opentelemetry()) }
}

function runOnce(engine: FakeEngine, headers: Record<string, string>, handler: () => unknown = () => {}) {
  const attempt = engine.claim(engine.job("job-1", headers))
  engine.run(attempt, handler)
  engine.completed(attempt)
  return attempt
}

describe("the handler's context", () => {
  it("has the run's span as parent of the handler's own spans, across awaits", async () => {
    const { spans, engine } = start()
    const attempt = engine.claim(engine.dispatch())
    await engine.run(attempt, async () => {
      await Promise.resolve()
      trace.getTracer("app").startActiveSpan("query", (span) => span.end())
    })
    engine.completed(attempt)
    expect(spans.one("query").parentSpanContext?.spanId).toBe(spans.one("process mail").spanContext().spanId)
  })

  it("does not depend on what was active when the job was claimed", () => {
    const { spans, engine } = start()
    const key = Symbol("of somebody else")
    const tracer = trace.getTracer("app")
    const job = engine.dispatch()
    tracer.startActiveSpan("start the app", (outer) => {
      context.with(context.active().setValue(key, "leaked"), () =>
        engine.observer.storeCall?.({ script: "settle", blocking: false }, async () => {
          const attempt = engine.claim(job)
          expect(engine.run(attempt, () => context.active().getValue(key))).toBeUndefined()
          engine.completed(attempt)
        }),
      )
      outer.end()
    })
    const run = spans.one("process mail")
    expect(run.parentSpanContext?.spanId).toBe(spans.one("send mail").spanContext().spanId)
  })

  it("carries baggage from the dispatcher", () => {
    const { engine } = start()
    const baggage = propagation.createBaggage({ tenant: { value: "acme" } })
    const job = context.with(propagation.setBaggage(ROOT_CONTEXT, baggage), () => engine.dispatch())
    const attempt = engine.claim(job)
    expect(engine.run(attempt, () => propagation.getActiveBaggage()?.getEntry("tenant")?.value)).toBe("acme")
  })

  it("carries the dispatcher's context also where this app makes no spans", () => {
    const spans = new SpanCollector()
    const engine = new FakeEngine(opentelemetry({ traces: false }))
    const attempt = engine.claim(trace.getTracer("app").startActiveSpan("request", () => engine.dispatch()))
    expect(engine.run(attempt, () => trace.getActiveSpan()?.spanContext().isRemote)).toBe(true)
    expect(attempt.trace).toBeUndefined()
    expect(spans.finished).toEqual([])
  })
})

describe("the position of a run", () => {
  it("is known before anybody else hears of the attempt", () => {
    const { spans, engine } = start()
    const attempt = engine.claim(engine.dispatch())
    const seen = engine.run(attempt, () => attempt.trace)
    engine.completed(attempt)
    const { traceId, spanId } = spans.one("process mail").spanContext()
    expect(seen).toEqual({ traceId, spanId, sampled: true })
  })

  it("is the same where `active` is told before the attempt begins", () => {
    const { spans, engine } = start()
    const attempt = engine.claim(engine.dispatch())
    engine.tell({ kind: "active", attempt })
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.one("process mail").spanContext().spanId).toBe(attempt.trace?.spanId)
  })
})

describe("sampling", () => {
  it("keeps the attempts of an unsampled dispatch unsampled, even long after and by a relation of `link`", () => {
    let sampler: Sampler = new AlwaysOffSampler()
    const changing: Sampler = {
      // As a parent-based sampler does: it decides for roots only.
      shouldSample: (parent, ...rest) => {
        const position = trace.getSpanContext(parent)
        const off = position && isSpanContextValid(position) && position.traceFlags === TraceFlags.NONE
        return (off ? new AlwaysOffSampler() : sampler).shouldSample(parent, ...rest)
      },
      toString: () => "changing",
    }
    const { spans, engine } = start({ sampler: changing })
    const job = engine.dispatch({ delayMs: 3_600_000, relation: "link" })
    sampler = new AlwaysOnSampler()
    const attempt = engine.claim(job)
    engine.run(attempt, () => trace.getTracer("app").startSpan("query").end())
    engine.completed(attempt)
    expect(spans.finished).toEqual([])
    expect(attempt.trace?.sampled).toBe(false)
  })
})

/** Samples everything, and keeps the parents that it was asked about. */
function askedSampler() {
  const asked: (SpanContext | undefined)[] = []
  const sampler: Sampler = {
    shouldSample(parent) {
      asked.push(trace.getSpanContext(parent))
      return new AlwaysOnSampler().shouldSample()
    },
    toString: () => "asked",
  }
  return { asked, sampler }
}

describe("a job whose dispatch was not sampled", () => {
  const headers = { traceparent: `00-${traceId}-${spanId}-00` }
  const { asked, sampler: asking } = askedSampler()
  const run = (stored: Record<string, string>, handler: () => unknown = () => {}) => {
    asked.length = 0
    const { spans, engine } = start({ sampler: asking })
    return { spans, attempt: runOnce(engine, stored, handler) }
  }

  it("has no span made for its run, nor any link or attribute: no sampler is asked", () => {
    const { spans, attempt } = run(headers)
    expect(asked).toEqual([])
    expect(spans.finished).toEqual([])
    expect(attempt.trace).toEqual({ traceId, spanId, sampled: false })
  })

  it("has its handler's spans where they would be without us, as children of this process", () => {
    const { spans } = run(headers, () => trace.getTracer("app").startSpan("query").end())
    expect(asked).toEqual([{ traceId, spanId, traceFlags: TraceFlags.NONE }])
    expect(spans.one("query").parentSpanContext?.spanId).toBe(spanId)
  })

  it("keeps what else travels with it", () => {
    let seen: unknown
    const { attempt } = run({ ...headers, tracestate: "vendor=1", baggage: "tenant=acme" }, () => {
      const state = trace.getActiveSpan()?.spanContext().traceState?.serialize()
      seen = [propagation.getActiveBaggage()?.getEntry("tenant")?.value, state]
    })
    expect(seen).toEqual(["acme", "vendor=1"])
    expect(asked).toEqual([])
    expect(attempt.trace?.sampled).toBe(false)
  })

  it("is left to the sampler where another propagator than W3C's brought it, or one that knows no traceparent", () => {
    propagation.setGlobalPropagator(b3)
    const { spans, engine } = start({ sampler: asking })
    asked.length = 0
    for (const stored of [{ b3: `${traceId}-${spanId}-0` }, headers]) {
      const attempt = engine.claim(engine.job("job-1", stored))
      engine.run(attempt, () => {})
      engine.completed(attempt)
    }
    expect(asked.map((parent) => parent?.spanId)).toEqual([spanId, undefined])
    expect(spans.named("process mail")).toHaveLength(2)
  })
})

describe("the context that a handler gets", () => {
  const key = Symbol("of the user")
  const inside = <T>(look: (active: Context) => T): T => {
    const { engine } = start()
    const attempt = engine.claim(engine.dispatch())
    const seen = engine.run(attempt, () => look(context.active()))
    engine.completed(attempt)
    return seen
  }

  it("can be built upon, and keeps its span", () => {
    const [mine, span, before] = inside((active) => {
      const more = active.setValue(key, 1)
      return [more.getValue(key), trace.getSpan(more) === trace.getSpan(active), active.getValue(key)]
    })
    expect([mine, span, before]).toEqual([1, true, undefined])
  })

  it("can be rid of its span, and of other values", () => {
    expect(inside((active) => trace.getSpan(trace.deleteSpan(active)))).toBeUndefined()
    expect(inside((active) => active.setValue(key, 1).deleteValue(key).getValue(key))).toBeUndefined()
    expect(inside((active) => trace.getSpan(active.deleteValue(key)))).toBeDefined()
  })

  it("takes another span, and baggage", () => {
    const other = trace.wrapSpanContext({ traceId, spanId, traceFlags: TraceFlags.SAMPLED })
    expect(inside((active) => trace.getSpan(trace.setSpan(active, other)))).toBe(other)
    const baggage = propagation.createBaggage({ tenant: { value: "acme" } })
    expect(inside((active) => propagation.getBaggage(propagation.setBaggage(active, baggage)))).toBe(baggage)
  })
})

describe("two observers of one app that trace", () => {
  it("each make one span, and end it", () => {
    const { asked, sampler } = askedSampler()
    const [one, other] = [new SpanCollector({ sampler }), new SpanCollector({ sampler, register: false })]
    const engine = new FakeEngine(opentelemetry({ tracerProvider: one.provider }))
    const second = opentelemetry({ tracerProvider: other.provider })
    second.source?.(engine.source)
    const attempt = engine.claim(engine.job("job-1", {}))
    second.attempt?.(attempt, () =>
      engine.run(attempt, () => second.transition?.({ kind: "active", attempt })),
    )
    engine.completed(attempt)
    second.transition?.({ kind: "completed", attempt, durationMs: 0, resultBytes: 2, totalMs: 5 })
    for (const { finished } of [one, other])
      expect(finished.map(({ name }) => name)).toEqual(["process mail"])
    expect(asked).toHaveLength(2)
  })
})

describe("relation", () => {
  const relate = (relation: "parent" | "link", delayMs: number) => {
    const { spans, engine } = start()
    const attempt = engine.claim(engine.dispatch({ relation, delayMs }))
    engine.run(attempt, () => {})
    engine.completed(attempt)
    return spans.render()
  }

  it("`parent` stays in the trace of the dispatch however late", () => {
    expect(relate("parent", 86_400_000)).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
          #2 process mail (CONSUMER) attempt=1 outcome=completed ~> #1"
    `)
  })

  it("`link` leaves it at once", () => {
    expect(relate("link", 0)).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
      trace 2
        #2 process mail (CONSUMER) attempt=1 outcome=completed ~> #1"
    `)
  })
})

describe("relation `auto`", () => {
  const spansOf = (eligibleAfterMs: number) => {
    const { spans, engine } = start()
    const attempt = engine.claim(engine.dispatch({ delayMs: eligibleAfterMs }))
    engine.run(attempt, () => {})
    engine.completed(attempt)
    return spans
  }

  it("stays in the trace of the dispatch up to linkAfter, and not a moment longer", () => {
    expect(spansOf(60_000).one("process mail").parentSpanContext).toBeDefined()
    resetTelemetry()
    expect(spansOf(60_001).one("process mail").parentSpanContext).toBeUndefined()
  })

  it("lets a run that was handed back go on in the trace of the one before, also without a dispatch to join", () => {
    const { spans, engine } = start()
    const job = engine.job("job-1", {})
    const first = engine.claim(job)
    engine.run(first, () => {})
    engine.ended(job, first)
    engine.tell({ kind: "released", attempt: first, durationMs: 1 })
    job.attempts = 0
    const again = engine.claim(job)
    engine.run(again, () => {})
    engine.completed(again)
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 process mail (CONSUMER) attempt=1 outcome=released
          #2 process mail (CONSUMER) attempt=1 outcome=completed ~> #1"
    `)
  })
})

describe("stored context", () => {
  it.each([
    ["is malformed", { traceparent: "00-zzz-1-01" }],
    ["is all zeros", { traceparent: `00-${"0".repeat(32)}-${spanId}-01` }],
    ["is oversized", { traceparent: `00-${traceId}-${spanId}-01`, baggage: `a=${"b".repeat(8192)}` }],
    ["is empty", {}],
  ])("is ignored when it %s: the run has a trace of its own", (_, headers) => {
    const { spans, engine } = start()
    runOnce(engine, headers as Record<string, string>)
    expect(spans.one("process mail").parentSpanContext).toBeUndefined()
    expect(spans.one("process mail").links).toEqual([])
  })

  it("is continued when it is sound", () => {
    const { spans, engine } = start()
    runOnce(engine, { traceparent: `00-${traceId}-${spanId}-01` })
    expect(spans.one("process mail").parentSpanContext).toMatchObject({ traceId, spanId, isRemote: true })
  })

  it("ignores a malformed previous run", () => {
    const { spans, engine } = start()
    const job = engine.dispatch()
    job.previousRun = "00-nonsense"
    job.previousEndedAt = engine.now
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.one("process mail").links).toHaveLength(1)
  })

  it("leaves out baggage that would be too large, and keeps the trace", () => {
    const { engine } = start()
    const entries = Object.fromEntries([..."ab"].map((name) => [name, { value: name.repeat(4090) }]))
    const baggage = propagation.createBaggage(entries)
    const job = context.with(propagation.setBaggage(ROOT_CONTEXT, baggage), () => engine.dispatch())
    expect(Object.keys(job.headers)).toEqual(["traceparent"])
  })

  it("is written and read by the configured propagator", () => {
    propagation.setGlobalPropagator(b3)
    const { spans, engine } = start()
    const job = engine.dispatch()
    expect(Object.keys(job.headers)).toEqual(["b3"])
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.one("process mail").parentSpanContext?.spanId).toBe(
      spans.one("send mail").spanContext().spanId,
    )
  })
})

describe("the engine's own commands", () => {
  const command = (storeSpans: boolean, task?: string) => {
    const spans = new SpanCollector()
    const engine = new FakeEngine(opentelemetry({ storeSpans }))
    const call = { script: "settle", blocking: false, ...(task !== undefined && { task }) }
    const done = trace.getTracer("app").startActiveSpan("request", async (request) => {
      const answer = await engine.observer.storeCall?.(call, async () => {
        await Promise.resolve()
        trace.getTracer("redis client").startSpan("EVALSHA").end()
        return "OK"
      })
      trace.getTracer("app").startSpan("after").end()
      request.end()
      return answer
    })
    return { spans, done }
  }

  it("make no spans, and what follows them does", async () => {
    const { spans, done } = command(false)
    expect(await done).toBe("OK")
    expect(spans.finished.map((span) => span.name)).toEqual(["request", "after"])
  })

  /** What a Redis client's instrumentation would make of calls that dispatch `jobs`, then `calls` times. */
  const dispatching = async (jobs: number, calls = 1) => {
    const spans = new SpanCollector()
    const engine = new FakeEngine(opentelemetry({ storeSpans: true }))
    const dispatches = Array.from({ length: jobs }, () => engine.begin(1))
    for (const dispatch of dispatches) engine.observer.dispatching?.(dispatch)
    for (let n = 0; n < calls; n++)
      await engine.observer.storeCall?.({ script: "enqueue", blocking: false, task: "mail" }, async () => {
        trace.getTracer("redis client").startSpan("EVALSHA").end()
      })
    for (const dispatch of dispatches)
      engine.tell({ kind: "dispatched", dispatch, stored: 1, duplicates: 0, payloadBytes: [2] })
    return spans
  }

  it("make them where asked for, in no trace where they serve many jobs at once", async () => {
    for (const task of [undefined, "mail"]) {
      const { spans, done } = command(true, task)
      await done
      expect(spans.one("EVALSHA").parentSpanContext).toBeUndefined()
      resetTelemetry()
    }
    const many = await dispatching(2)
    expect(many.one("EVALSHA").parentSpanContext).toBeUndefined()
  })

  it("make them below a dispatch that is alone in its call", async () => {
    const spans = await dispatching(1, 2)
    const parents = spans.named("EVALSHA").map((span) => span.parentSpanContext?.spanId)
    // The second call carries something else.
    expect(parents).toEqual([spans.one("send mail").spanContext().spanId, undefined])
  })

  it("make them below dispatchMany, in as many calls as it takes", async () => {
    const spans = new SpanCollector()
    const engine = new FakeEngine(opentelemetry({ storeSpans: true }))
    const dispatch = { ...engine.begin(1000), many: true }
    engine.observer.dispatching?.(dispatch)
    const call = () =>
      engine.observer.storeCall?.({ script: "enqueue", blocking: false, task: "mail" }, async () => {
        trace.getTracer("redis client").startSpan("EVALSHA").end()
      })
    await call()
    await call()
    const sizes = Array<number>(1000).fill(2)
    engine.tell({ kind: "dispatched", dispatch, stored: 1000, duplicates: 0, payloadBytes: sizes })
    await call()
    const { spanId } = spans.one("send mail").spanContext()
    const parents = spans.named("EVALSHA").map((span) => span.parentSpanContext?.spanId)
    expect(parents).toEqual([spanId, spanId, undefined])
  })

  it("take no dispatch for their own that was rejected before", async () => {
    const spans = new SpanCollector()
    const engine = new FakeEngine(opentelemetry({ storeSpans: true }))
    const [refused, other] = [engine.begin(1), engine.begin(1)]
    const error = new RangeError("too large")
    engine.observer.dispatching?.(refused)
    engine.tell({ kind: "rejected", dispatch: refused, count: 1, reason: "too_large", error })
    engine.observer.dispatching?.(other)
    await engine.observer.storeCall?.({ script: "enqueue", blocking: false, task: "mail" }, async () => {
      trace.getTracer("redis client").startSpan("EVALSHA").end()
    })
    engine.tell({ kind: "dispatched", dispatch: other, stored: 1, duplicates: 0, payloadBytes: [2] })
    const [, sent] = spans.named("send mail")
    expect(spans.one("EVALSHA").parentSpanContext?.spanId).toBe(sent?.spanContext().spanId)
  })
})

describe("the provider", () => {
  it("may be registered after the observer was made and used, and be replaced", () => {
    const engine = new FakeEngine(opentelemetry())
    const none = runOnce(engine, engine.dispatch().headers)
    expect(none.trace).toBeUndefined()

    const first = new SpanCollector()
    runOnce(engine, engine.dispatch().headers)
    expect(first.finished.map((span) => span.name)).toEqual(["send mail", "process mail"])

    resetTelemetry()
    const second = new SpanCollector()
    runOnce(engine, engine.dispatch().headers)
    expect(first.finished).toHaveLength(2)
    expect(second.finished.map((span) => span.name)).toEqual(["send mail", "process mail"])
  })

  it("may be given, and is then the only one", () => {
    const global = new SpanCollector()
    const given = new SpanCollector({ register: false })
    const engine = new FakeEngine(opentelemetry({ tracerProvider: given.provider }))
    runOnce(engine, engine.dispatch().headers)
    expect(global.finished).toEqual([])
    expect(given.finished).toHaveLength(2)
  })
})

/** The single-header form of B3, enough to show that nothing of ours assumes W3C. */
const b3: TextMapPropagator = {
  inject(from: Context, carrier, setter) {
    const position = trace.getSpanContext(from)
    if (position) setter.set(carrier, "b3", `${position.traceId}-${position.spanId}-${position.traceFlags}`)
  },
  extract(into: Context, carrier, getter) {
    const [traceId, spanId, flags] = String(getter.get(carrier, "b3")).split("-")
    if (!traceId || !spanId) return into
    return trace.setSpanContext(into, { traceId, spanId, traceFlags: Number(flags), isRemote: true })
  },
  fields: () => ["b3"],
}
