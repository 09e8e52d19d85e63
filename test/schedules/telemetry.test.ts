import { context, trace } from "@opentelemetry/api"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import type { App, ScheduleOptions } from "../../src/index.ts"
import { parseExposition } from "../support/exposition.ts"
import { MetricCollector } from "../support/metrics.ts"
import { SpanCollector } from "../support/spans.ts"
import { Cluster, midnight } from "./support.ts"

let cluster: Cluster
let metrics: Prometheus
let collector: MetricCollector
beforeEach(() => {
  cluster = new Cluster()
  collector = new MetricCollector()
  metrics = prometheus({ port: false })
})
afterEach(async () => {
  await cluster.end()
  await collector.stop()
})

function declare(options: Partial<ScheduleOptions> = {}, observers = [metrics, opentelemetry()]): App {
  const app = cluster.app(observers)
  app.task("t", { handler: () => {}, concurrency: 10 })
  app.task("nobody")
  app.schedule("s", { task: "t", every: "1s", ...options } as ScheduleOptions)
  return app
}

/** A metric's values, by its labels; both bindings must tell the same. */
async function values(name: string): Promise<Record<string, number>> {
  const rendering = metrics.render()
  await cluster.settle()
  const found: Record<string, number> = {}
  for (const family of parseExposition((await rendering).body, "text").values())
    for (const sample of family.samples)
      if (sample.name === name) found[Object.values(sample.labels).join()] = sample.value
  return found
}

async function recorded(name: string): Promise<Record<string, unknown>> {
  const collecting = collector.collect()
  await cluster.settle()
  const points = (await collecting).get(name)?.dataPoints ?? []
  return Object.fromEntries(points.map(({ attributes, value }) => [Object.values(attributes).join(), value]))
}

describe("metrics of schedules", () => {
  test("counters are there at 0 as soon as a schedule is declared", async () => {
    const app = declare()
    await cluster.start(app)
    expect(await values("taskora_schedule_missed_total")).toEqual({ s: 0 })
    expect(await values("taskora_schedule_skipped_total")).toEqual({ "s,overlap": 0 })
    expect(await values("taskora_schedule_lateness_seconds_count")).toEqual({})
  })

  test("lateness: once a firing, in both bindings", async () => {
    await cluster.start(declare())
    await cluster.pass(3100)
    expect(await values("taskora_schedule_lateness_seconds_count")).toEqual({ s: 3 })
    expect((await values("taskora_schedule_lateness_seconds_sum")).s).toBeLessThan(0.01)
    expect(await recorded("taskora.schedule.lateness")).toMatchObject({ s: { count: 3 } })
  })

  test("missed and skipped", async () => {
    const first = declare({ overlap: false, task: "nobody" }, [])
    await cluster.start(first)
    await cluster.close(first)
    await cluster.pass(4500)
    await cluster.start(declare({ overlap: false, task: "nobody" }))
    await cluster.pass(2000)
    const missed = Math.max(...Object.values(await values("taskora_schedule_missed_total")))
    expect(missed).toBeGreaterThanOrEqual(2)
    expect(await recorded("taskora.schedule.missed")).toEqual({ s: missed })
    expect((await values("taskora_schedule_skipped_total"))["s,overlap"]).toBeGreaterThanOrEqual(1)
    expect(await recorded("taskora.schedule.skipped")).toEqual(await values("taskora_schedule_skipped_total"))
  })

  test("the next firing; 0 while paused", async () => {
    const app = declare()
    await cluster.start(app)
    await cluster.pass(1100)
    expect(await values("taskora_schedule_next_timestamp_seconds")).toEqual({ s: (midnight + 2000) / 1000 })
    expect(await recorded("taskora.schedule.next.timestamp")).toEqual({ s: (midnight + 2000) / 1000 })
    await cluster.ask(app.schedules.pause("s"))
    await cluster.settle()
    expect(await values("taskora_schedule_next_timestamp_seconds")).toEqual({ s: 0 })
  })

  test("a firing counts as a dispatch of its task, in one process", async () => {
    await cluster.start(declare())
    await cluster.pass(2100)
    expect((await values("taskora_jobs_dispatched_total")).t).toBe(2)
  })
})

describe("traces of schedules", () => {
  test("each firing starts its own trace, linked to nothing older, whatever was active when the app started", async () => {
    const spans = new SpanCollector()
    try {
      const app = declare({}, [opentelemetry()])
      const tracer = trace.getTracer("user")
      const around = tracer.startSpan("the user's own")
      await context.with(trace.setSpan(context.active(), around), () => cluster.start(app))
      around.end()
      await cluster.pass(2200)
      const sends = spans.finished.filter(({ name }) => name === "send t")
      const runs = spans.finished.filter(({ name }) => name === "process t")
      expect([sends.length, runs.length]).toEqual([2, 2])
      const traces = new Set([around.spanContext().traceId])
      for (const [i, send] of sends.entries()) {
        const { traceId, spanId } = send.spanContext()
        expect(send.parentSpanContext).toBeUndefined()
        expect(send.links).toEqual([])
        expect(traces.has(traceId)).toBe(false)
        traces.add(traceId)
        expect(send.attributes).toMatchObject({
          "messaging.taskora.schedule": "s",
          "messaging.message.id": `s@2026-11-23T00:00:0${i + 1}.000Z`,
        })
        const run = runs[i]!
        expect(run.parentSpanContext?.spanId).toBe(spanId)
        expect(run.links.map((link) => link.context.spanId)).toEqual([spanId])
      }
    } finally {
      await spans.stop()
    }
  })
})
