import { DiagLogLevel, diag, SpanStatusCode } from "@opentelemetry/api"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type OpenTelemetryOptions, opentelemetry } from "../../../exporters/opentelemetry/index.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { SpanCollector } from "../../support/spans.ts"

let spans: SpanCollector
const warnings: string[] = []

beforeEach(() => {
  const keep = (text: string) => void warnings.push(text)
  const ignore = () => {}
  diag.setLogger({ error: keep, warn: keep, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN)
  spans = new SpanCollector()
})
afterEach(async () => {
  await spans.stop()
  diag.disable()
  expect(warnings.splice(0)).toEqual([])
})

function failWith(error: Error, options?: OpenTelemetryOptions) {
  const engine = new FakeEngine(opentelemetry(options))
  const job = engine.dispatch()
  const attempt = engine.claim(job)
  engine.run(attempt, () => {})
  engine.failed(job, attempt, error)
  return spans.one("process mail")
}

describe("attributes", () => {
  it("of a send and a run follow the conventions", () => {
    const engine = new FakeEngine(opentelemetry())
    const attempt = engine.claim(engine.dispatch({ id: "a1", delayMs: 5 }))
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.one("send mail").attributes).toMatchInlineSnapshot(`
      {
        "messaging.client.id": "instance-1",
        "messaging.destination.name": "mail",
        "messaging.message.body.size": 17,
        "messaging.message.id": "a1",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.system.name": "taskora",
        "messaging.taskora.delay_ms": 5,
        "messaging.taskora.priority": 0,
        "server.address": "redis.test",
        "server.port": 6379,
      }
    `)
    expect(spans.one("process mail").attributes).toMatchInlineSnapshot(`
      {
        "messaging.client.id": "instance-1",
        "messaging.destination.name": "mail",
        "messaging.message.body.size": 17,
        "messaging.message.id": "a1",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.system.name": "taskora",
        "messaging.taskora.attempt": 1,
        "messaging.taskora.delay_ms": 5,
        "messaging.taskora.max_attempts": 1,
        "messaging.taskora.outcome": "completed",
        "messaging.taskora.priority": 0,
        "messaging.taskora.wait_ms": 0,
        "messaging.taskora.worker": "instance-1",
        "server.address": "redis.test",
        "server.port": 6379,
      }
    `)
    expect(spans.one("process mail").instrumentationScope).toMatchInlineSnapshot(`
      {
        "name": "taskora",
        "schemaUrl": "https://opentelemetry.io/schemas/1.45.0",
        "version": "0.0.0-test",
      }
    `)
  })

  it("of a batch say how many jobs it had, of a single one that its id existed", () => {
    const engine = new FakeEngine(opentelemetry())
    engine.dispatchMany(4)
    expect(spans.one("send mail").attributes["messaging.batch.message_count"]).toBe(4)
    spans.exporter.reset()
    const dispatch = engine.begin(1)
    engine.observer.dispatching?.(dispatch)
    engine.tell({ kind: "dispatched", dispatch, stored: 0, duplicates: 1, payloadBytes: [] })
    expect(spans.one("send mail").attributes["messaging.taskora.duplicates"]).toBe(1)
  })

  it.each([
    ["jobId", { stored: 1 }, "stored", {}],
    ["throttle", { throttled: 1 }, "throttled", { "messaging.taskora.throttled": 1 }],
    ["deduplicate", { duplicates: 1 }, "duplicate", { "messaging.taskora.duplicates": 1 }],
    ["debounce", { stored: 1 }, "stored", {}],
    ["debounce", { stored: 1, replaced: 1 }, "debounced", { "messaging.taskora.replaced": 1 }],
  ] as const)(
    "of a dispatch with %s carry the decision: %j is %s; it is no error",
    (gate, counts, decision, more) => {
      const engine = new FakeEngine(opentelemetry())
      const dispatch = { ...engine.begin(1), gate }
      engine.observer.dispatching?.(dispatch)
      engine.tell({ kind: "dispatched", dispatch, stored: 0, duplicates: 0, payloadBytes: [], ...counts })
      const { attributes, status } = spans.one("send mail")
      expect(attributes).toMatchObject({ "messaging.taskora.decision": decision, ...more })
      expect(attributes).not.toHaveProperty("error.type")
      expect(status).toEqual({ code: SpanStatusCode.UNSET })
    },
  )

  it("of a plain dispatch carry none, for nothing was to be decided", () => {
    new FakeEngine(opentelemetry()).dispatch()
    expect(spans.one("send mail").attributes).not.toHaveProperty("messaging.taskora.decision")
  })

  it("of a rejected dispatch name the reason, on its own span only", () => {
    const engine = new FakeEngine(opentelemetry())
    const dispatch = engine.begin(1)
    engine.observer.dispatching?.(dispatch)
    const error = new RangeError("payload quoted here")
    engine.tell({ kind: "rejected", dispatch, count: 1, reason: "too_large", error })
    const span = spans.one("send mail")
    expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(span.attributes).toMatchObject({
      "error.type": "RangeError",
      "messaging.taskora.reason": "too_large",
    })
    expect(span.events).toEqual([])
  })
})

describe("links of a batch", () => {
  it("are those of its first jobs: the SDK would keep the last, and warn", () => {
    const engine = new FakeEngine(opentelemetry({ batchCreates: true }))
    engine.dispatchMany(130)
    const linked = spans.one("send mail").links.map((link) => link.context.spanId)
    const created = spans.named("create mail").map((span) => span.spanContext().spanId)
    expect(linked).toEqual(created.slice(0, 128))
  })
})

describe("failure", () => {
  it("says when the next attempt is due", () => {
    const engine = new FakeEngine(opentelemetry())
    const job = engine.dispatch({ maxAttempts: 2 })
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.failed(job, attempt, new Error("no"), 1500)
    expect(spans.one("process mail").events[1]).toMatchObject({
      name: "retry scheduled",
      attributes: { "messaging.taskora.next_attempt": 2, "messaging.taskora.delay_ms": 1500 },
    })
  })

  it("records the exception and puts no text into the status", () => {
    const span = failWith(new RangeError("too far"))
    expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(span.events[0]).toMatchObject({
      name: "exception",
      attributes: { "exception.type": "RangeError", "exception.message": "too far" },
    })
    expect(span.events[0]?.attributes?.["exception.stacktrace"]).toContain("too far")
  })

  it("records the class alone where that is asked for, and for messages that quote the user's data", () => {
    const quoting = new Error("email: expected a string, got 42")
    quoting.name = "ValidationError"
    const kept = [failWith(new RangeError("secret"), { capture: { errors: "type" } })]
    spans.exporter.reset()
    kept.push(failWith(quoting))
    for (const span of kept) expect(Object.keys(span.events[0]?.attributes ?? {})).toEqual(["exception.type"])
  })

  it("takes a name that is no class name for text, which is not wanted with the class alone", () => {
    const typeOf = (name: string, options?: OpenTelemetryOptions) => {
      spans.exporter.reset()
      const span = failWith(Object.assign(new Error("no"), { name }), options)
      return span.events[0]?.attributes?.["exception.type"]
    }
    const alone = { capture: { errors: "type" } } as const
    expect(typeOf("user 42 not found", alone)).toBe("_OTHER")
    expect(typeOf("NotFound", alone)).toBe("NotFound")
    expect(typeOf("user 42 not found")).toBe("user 42 not found")
    expect(typeOf("x".repeat(100_000))).toHaveLength(16 * 1024)
  })

  it("bounds names that are no class names, and long texts", () => {
    const error = new Error("x".repeat(100_000))
    error.name = "user 42 not found"
    const span = failWith(error)
    expect(span.attributes["error.type"]).toBe("_OTHER")
    expect(span.events[0]?.attributes?.["exception.message"]).toHaveLength(16 * 1024)
  })
})

describe("progress", () => {
  const report = (options: OpenTelemetryOptions | undefined, ...values: (number | object)[]) => {
    const engine = new FakeEngine(opentelemetry(options))
    const attempt = engine.claim(engine.dispatch())
    engine.run(attempt, () => {
      for (const progress of values) engine.tell({ kind: "progress", attempt, progress })
    })
    engine.completed(attempt)
    return spans.one("process mail").events.map((event) => event.attributes)
  }

  it("shows numbers, and of objects only what a redacting function makes of them", () => {
    expect(report(undefined, 50, { card: "4111" })).toEqual([{ "messaging.taskora.progress": 50 }, {}])
    spans.exporter.reset()
    const data = (value: object) => Object.keys(value).length
    expect(report({ capture: { data } }, { card: "4111" })).toEqual([{ "messaging.taskora.progress": 1 }])
  })

  it("stops after a hundred", () => {
    expect(report(undefined, ...Array(150).keys())).toHaveLength(100)
  })
})

describe("time", () => {
  it("ends a run when its handler ended, not when that was answered", async () => {
    const engine = new FakeEngine(opentelemetry())
    const attempt = engine.claim(engine.dispatch())
    engine.run(attempt, () => {})
    await new Promise((resolve) => setTimeout(resolve, 30))
    engine.completed(attempt, 7)
    const [seconds, nanoseconds] = spans.one("process mail").duration
    expect(seconds * 1000 + nanoseconds / 1e6).toBeCloseTo(7, 0)
  })

  it("does not end a run in the future, whatever a virtual clock says", () => {
    const engine = new FakeEngine(opentelemetry())
    const attempt = engine.claim(engine.dispatch())
    engine.run(attempt, () => {})
    engine.completed(attempt, 3_600_000)
    expect(spans.one("process mail").duration[0]).toBeLessThan(60)
  })

  it("ends what is open when the app closes, and nothing twice", () => {
    const engine = new FakeEngine(opentelemetry())
    const ended = engine.claim(engine.dispatch())
    engine.run(ended, () => {})
    engine.completed(ended)
    spans.exporter.reset()
    engine.run(engine.claim(engine.dispatch()), () => {})
    engine.tell({ kind: "worker closing" })
    engine.observer.close?.()
    expect(spans.finished.map((span) => span.name)).toEqual(["send mail", "process mail", "worker shutdown"])
  })
})

describe("options", () => {
  const wrong = (options: object) => () => opentelemetry(options as OpenTelemetryOptions)

  it("rejects names it does not know, naming the nearest", () => {
    expect(wrong({ linkAftr: 1 })).toThrow('unknown option "linkAftr"; did you mean "linkAfter"?')
    expect(wrong({ capture: { error: "type" } })).toThrow('did you mean "errors"?')
  })

  it("rejects impossible values by name", () => {
    expect(wrong({ relation: "sibling" })).toThrow('relation is "sibling"; give "auto", "parent" or "link"')
    expect(wrong({ linkAfter: "soon" })).toThrow('linkAfter: "soon" is not a duration')
    expect(wrong({ traces: 1 })).toThrow("traces is 1; give true or false")
    expect(wrong({ capture: { errors: "all" } })).toThrow("capture.errors")
    expect(wrong({ capture: { data: true } })).toThrow("capture.data")
  })

  it("takes undefined for the default", () => {
    expect(wrong({ relation: undefined, capture: undefined })).not.toThrow()
  })
})
