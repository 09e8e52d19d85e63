import { trace } from "@opentelemetry/api"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { opentelemetry } from "../../../exporters/opentelemetry/index.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { SpanCollector } from "../../support/spans.ts"

let spans: SpanCollector
let engine: FakeEngine

beforeEach(() => {
  spans = new SpanCollector()
  engine = new FakeEngine(opentelemetry())
})
afterEach(() => spans.stop())

/** Dispatches inside a span of the caller's. */
function fromRequest<T>(fn: () => T): T {
  return trace.getTracer("app").startActiveSpan("request", (span) => {
    try {
      return fn()
    } finally {
      span.end()
    }
  })
}

describe("goldens", () => {
  it("shows an immediate job as one trace", () => {
    const attempt = engine.claim(fromRequest(() => engine.dispatch()))
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 request (INTERNAL)
          #2 send mail (PRODUCER)
            #3 process mail (CONSUMER) attempt=1 outcome=completed ~> #2"
    `)
  })

  it("shows a job that is retried twice and then completes", () => {
    const job = fromRequest(() => engine.dispatch({ maxAttempts: 3 }))
    for (const delayMs of [1000, 59_000]) {
      const attempt = engine.claim(job)
      engine.run(attempt, () => {})
      engine.now += 100
      engine.failed(job, attempt, new RangeError("too far"), delayMs)
    }
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 request (INTERNAL)
          #2 send mail (PRODUCER)
            #3 process mail (CONSUMER) attempt=1 outcome=retried will_retry=true ERROR RangeError [exception, retry scheduled] ~> #2
            #4 process mail (CONSUMER) attempt=2 outcome=retried will_retry=true ERROR RangeError [exception, retry scheduled] ~> #2 ~> #3
            #5 process mail (CONSUMER) attempt=3 outcome=completed ~> #2 ~> #4"
    `)
  })

  it("starts a new trace for a job delayed beyond linkAfter, which its quick retry joins and its slow one leaves", () => {
    const job = fromRequest(() => engine.dispatch({ delayMs: 60_001, maxAttempts: 3 }))
    for (const delayMs of [1000, 3_600_000]) {
      const attempt = engine.claim(job)
      engine.run(attempt, () => {})
      engine.failed(job, attempt, new Error("no"), delayMs)
    }
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.completed(attempt)
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 request (INTERNAL)
          #2 send mail (PRODUCER)
      trace 2
        #3 process mail (CONSUMER) attempt=1 outcome=retried will_retry=true ERROR Error [exception, retry scheduled] ~> #2
          #4 process mail (CONSUMER) attempt=2 outcome=retried will_retry=true ERROR Error [exception, retry scheduled] ~> #2 ~> #3
      trace 3
        #5 process mail (CONSUMER) attempt=3 outcome=completed ~> #2 ~> #4"
    `)
  })

  it("shows a batch as one span, and a create span for each job where asked for", () => {
    engine.dispatchMany(3)
    const each = new FakeEngine(opentelemetry({ batchCreates: true }))
    for (const job of each.dispatchMany(2)) {
      const attempt = each.claim(job)
      each.run(attempt, () => {})
      each.completed(attempt)
    }
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
      trace 2
        #2 create mail (PRODUCER)
          #5 process mail (CONSUMER) attempt=1 outcome=completed ~> #2
      trace 3
        #3 create mail (PRODUCER)
          #6 process mail (CONSUMER) attempt=1 outcome=completed ~> #3
      trace 4
        #4 send mail (CLIENT) ~> #2 ~> #3"
    `)
  })

  it("shows a job cancelled while active, and the cancel in its caller's trace", () => {
    const job = engine.dispatch()
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    fromRequest(() =>
      engine.tell({ kind: "cancel requested", task: job.task, id: job.id, headers: job.headers }),
    )
    engine.tell({ kind: "cancelled", attempt, durationMs: 0, reason: "changed my mind", totalMs: 5 })
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
          #2 process mail (CONSUMER) attempt=1 outcome=cancelled [cancelled] ~> #1
      trace 2
        #3 request (INTERNAL)
          #4 cancel mail (CLIENT) state=active ~> #1"
    `)
  })

  it("shows a retry by hand in its caller's trace, linked to the old life, as is the first run of the new one", () => {
    const job = engine.dispatch()
    const died = engine.claim(job)
    engine.run(died, () => {})
    engine.failed(job, died, new Error("no"))
    const previousRun = `00-${died.trace!.traceId}-${died.trace!.spanId}-01`
    fromRequest(() =>
      engine.tell({
        kind: "revived",
        task: job.task,
        jobs: [{ id: job.id, headers: job.headers, previousRun }],
      }),
    )
    engine.now += 3_600_000
    Object.assign(job, { eligibleAt: engine.now, attempts: 0, previousRun })
    const reborn = engine.claim(job)
    engine.run(reborn, () => {})
    engine.completed(reborn)
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
          #2 process mail (CONSUMER) attempt=1 outcome=failed will_retry=false ERROR Error [exception] ~> #1
      trace 2
        #3 request (INTERNAL)
          #4 retry mail (CLIENT) ~> #1 ~> #2
      trace 3
        #5 process mail (CONSUMER) attempt=1 outcome=completed ~> #1 ~> #2"
    `)
  })

  it("shows a stall in the trace of the dispatch, linked to the lost run", () => {
    const job = engine.dispatch()
    const lost = engine.claim(job)
    engine.run(lost, () => {})
    engine.ended(job, lost)
    const { task, id, headers, previousRun } = job
    engine.now += 30_000
    engine.tell({
      kind: "stalled",
      task,
      id,
      action: "recovered",
      count: 1,
      attempt: 1,
      headers,
      previousRun: previousRun!,
      recoveryMs: 12,
      totalMs: 30_000,
    })
    engine.tell({ kind: "lost", attempt: lost, durationMs: 30 })
    job.attempts = 0
    job.eligibleAt = engine.now
    const again = engine.claim(job)
    engine.run(again, () => {})
    engine.completed(again)
    engine.tell({
      kind: "stalled",
      task,
      id,
      action: "failed",
      count: 2,
      attempt: 1,
      headers,
      recoveryMs: 12,
      totalMs: 30_000,
    })
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
          #2 process mail (CONSUMER) attempt=1 outcome=lost ~> #1
          #3 recover mail (INTERNAL) attempt=1 action=recovered count=1 ~> #2
          #4 process mail (CONSUMER) attempt=1 outcome=completed ~> #1 ~> #2
          #5 recover mail (INTERNAL) attempt=1 action=failed count=2 ERROR StalledError"
    `)
  })

  it("shows the worker's life", () => {
    engine.tell({ kind: "worker ready", tasks: ["mail"] })
    engine.tell({ kind: "worker error", error: new TypeError("broken listener"), errorKind: "listener" })
    engine.tell({ kind: "worker closing" })
    expect(spans.named("worker shutdown")).toHaveLength(0)
    engine.tell({ kind: "worker closed" })
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 worker start (INTERNAL)
      trace 2
        #2 worker error (INTERNAL) ERROR TypeError [exception]
      trace 3
        #3 worker shutdown (INTERNAL)"
    `)
  })

  it("ends the span of a batch with the answer of its last job", () => {
    const dispatch = { ...engine.begin(4), many: true }
    engine.observer.dispatching?.(dispatch)
    engine.tell({ kind: "dispatched", dispatch, stored: 2, duplicates: 1, payloadBytes: [1, 1] })
    expect(spans.finished).toEqual([])
    engine.tell({ kind: "rejected", dispatch, count: 1, reason: "connection", error: new RangeError("no") })
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER) reason=connection duplicates=1 ERROR RangeError"
    `)
  })

  it("shows a cancel that recovery honoured in the trace of the dispatch", () => {
    const { task, id, headers } = engine.dispatch()
    fromRequest(() =>
      engine.tell({ kind: "removed", task, id, headers, state: "active", totalMs: 5, attempts: 1 }),
    )
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 send mail (PRODUCER)
          #3 cancel mail (CLIENT) state=active [cancelled] ~> #1
      trace 2
        #2 request (INTERNAL)"
    `)
  })

  it("shows the worker's life outside of whatever is active, and its shutdown once", () => {
    fromRequest(() => {
      engine.tell({ kind: "worker ready", tasks: ["mail"] })
      engine.tell({ kind: "worker closing" })
      engine.tell({ kind: "worker closing" })
      engine.tell({ kind: "worker closed" })
    })
    expect(spans.render()).toMatchInlineSnapshot(`
      "trace 1
        #1 request (INTERNAL)
      trace 2
        #2 worker start (INTERNAL)
      trace 3
        #3 worker shutdown (INTERNAL)"
    `)
  })
})
