import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { afterEach, describe, expect, it } from "vitest"
import { eventInstruments } from "../../../exporters/catalogue.ts"
import { opentelemetry } from "../../../exporters/opentelemetry/index.ts"
import {
  eventSpans,
  renderSpansReference,
  type SpanFacts,
  spanEvents,
  spans,
} from "../../../exporters/opentelemetry/spans.ts"
import { type AppEventName, appEventNames } from "../../../src/model/events.ts"
import type { Dispatch, JobHeaders } from "../../../src/model/observer.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { SpanCollector } from "../../support/spans.ts"

let collector: SpanCollector

afterEach(() => collector?.stop())

/** Makes a span of every kind, with every event: the spans by name, `mail` put back to `<task>`. */
function everything(): Map<string, ReadableSpan[]> {
  collector = new SpanCollector()
  const engine = new FakeEngine(opentelemetry({ batchCreates: true }))
  engine.tell({ kind: "worker ready", tasks: ["mail"] })
  const [job] = engine.dispatchMany(2)
  const failing = engine.dispatch()
  const rejected = engine.begin(1)
  engine.observer.dispatching?.(rejected)
  const error = new RangeError("no")
  engine.tell({ kind: "rejected", dispatch: rejected, count: 1, reason: "connection", error })
  const decided = (gate: Dispatch["gate"], counts: object) => {
    const dispatch: Dispatch = { ...engine.begin(1), ...(gate && { gate }) }
    engine.observer.dispatching?.(dispatch)
    engine.tell({ kind: "dispatched", dispatch, stored: 0, duplicates: 0, payloadBytes: [], ...counts })
  }
  decided("jobId", { duplicates: 1 })
  decided("throttle", { throttled: 1 })
  decided("debounce", { stored: 1, replaced: 1 })

  const firing = { ...engine.begin(1), schedule: "hourly" }
  engine.observer.dispatching?.(firing)
  engine.tell({ kind: "dispatched", dispatch: firing, stored: 1, duplicates: 0, payloadBytes: [2] })

  const first = engine.claim(failing)
  engine.run(first, () => engine.tell({ kind: "progress", attempt: first, progress: 50 }))
  engine.failed(failing, first, error, 1000)
  const second = engine.claim(job!)
  engine.run(second, () => {})
  engine.tell({ kind: "cancelled", attempt: second, durationMs: 1, reason: "enough", totalMs: 5 })

  const { task, id, headers } = failing
  const place = { task, id, headers }
  engine.tell({ kind: "removed", ...place, state: "delayed", reason: "enough", totalMs: 5, attempts: 1 })
  engine.tell({
    kind: "stalled",
    ...place,
    action: "failed",
    count: 2,
    attempt: 1,
    recoveryMs: 9,
    totalMs: 5,
  })
  for (const discarded of [false, true])
    engine.tell({ kind: "expired", ...place, discarded, totalMs: 5, attempts: 1 })
  const workflow = { ...engine.begin(3, { task: "nightly", id: "w" }), workflow: true } as const
  const root = engine.observer.dispatching?.(workflow) ?? {}
  engine.tell({ kind: "workflow started", dispatch: workflow })
  const refused = { ...workflow, id: "v" }
  engine.observer.dispatching?.(refused)
  engine.tell({ kind: "workflow refused", dispatch: refused, error })
  const ended = { id: "w", name: "nightly", headers: root as JobHeaders, durationMs: 5 }
  for (const outcome of ["completed", "failed"] as const)
    engine.tell({ kind: "workflow ended", ...ended, outcome })
  engine.tell({ kind: "revived", task, jobs: [{ id, headers }] })
  engine.tell({ kind: "revived", task, jobs: [place, place] })
  engine.tell({ kind: "worker error", error, errorKind: "listener" })
  engine.tell({ kind: "worker closing" })
  engine.tell({ kind: "worker closed" })
  const byName = new Map<string, ReadableSpan[]>()
  for (const span of collector.finished) {
    const name = span.name.replace("mail", "<task>").replace("nightly", "<workflow>")
    byName.set(name, [...(byName.get(name) ?? []), span])
  }
  return byName
}

describe("the reference of spans", () => {
  it("is current", async () => {
    await expect(renderSpansReference()).toMatchFileSnapshot("../../../docs/spans.md")
  })

  it("has an instrument and a span for each event of the app", () => {
    expect(Object.keys(eventSpans)).toEqual([...appEventNames])
    for (const event of appEventNames) {
      expect(eventInstruments[event].length, event).toBeGreaterThan(0)
      expect(eventSpans[event].spans.length, event).toBeGreaterThan(0)
    }
  })

  it("names the spans that are made, and the attributes that each can have", () => {
    const made = everything()
    const facts: readonly SpanFacts[] = Object.values(spans)
    expect([...made.keys()].sort()).toEqual(facts.map((span) => span.name).sort())
    for (const { name, attributes } of facts) {
      const seen = new Set(made.get(name)?.flatMap((span) => Object.keys(span.attributes)))
      expect([...seen].sort(), name).toEqual([...attributes].sort())
    }
  })

  it("names the span events that are made, and what each carries", () => {
    const made = everything()
    for (const { name, events } of Object.values(spans) as readonly SpanFacts[]) {
      const seen = made.get(name)?.flatMap((span) => span.events) ?? []
      expect([...new Set(seen.map((event) => event.name))].sort(), name).toEqual([...events].sort())
      for (const { name: event, attributes } of seen)
        expect(Object.keys(attributes ?? {}).sort()).toEqual(
          [...spanEvents[event as keyof typeof spanEvents]].sort(),
        )
    }
  })

  it.each(appEventNames)("shows %s in the span that it says", (event: AppEventName) => {
    const made = everything()
    const { spans: keys, event: spanEvent } = eventSpans[event]
    for (const key of keys) {
      const found = made.get(spans[key].name) ?? []
      expect(found.length).toBeGreaterThan(0)
      if (spanEvent) expect(found.flatMap((span) => span.events.map(({ name }) => name))).toContain(spanEvent)
    }
  })
})
