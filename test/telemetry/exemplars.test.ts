import { trace } from "@opentelemetry/api"
import { ParentBasedSampler, type Sampler, SamplingDecision } from "@opentelemetry/sdk-trace-base"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import { type Family, parseExposition } from "../support/exposition.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { findProgram, PrometheusServer } from "../support/prometheus-server.ts"
import { openmetrics } from "../support/scrape.ts"
import { SpanCollector } from "../support/spans.ts"

const withExemplars = ["taskora_job_duration_seconds", "taskora_job_wait_duration_seconds"]

/** Traces that begin with a span `unsampled` are left out. */
const byName: Sampler = new ParentBasedSampler({
  root: {
    shouldSample: (_context, _traceId, name) => ({
      decision: name === "unsampled" ? SamplingDecision.NOT_RECORD : SamplingDecision.RECORD_AND_SAMPLED,
    }),
    toString: () => "by name",
  },
})

const isPrometheusHere = findProgram(["prometheus"], "--version") !== undefined

onBothHosts("exemplars", (host) => {
  const open = testApps()
  let collector: SpanCollector
  let metrics: Prometheus

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    collector = new SpanCollector({ sampler: byName })
    metrics = prometheus({ port: 0 })
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await collector.stop()
  })

  const tracer = () => trace.getTracer("user")
  const scrape = async (format: "text" | "openmetrics") => {
    const headers = format === "openmetrics" ? { accept: openmetrics } : undefined
    const response = await fetch(`http://127.0.0.1:${metrics.port}/metrics`, headers && { headers })
    return response.text()
  }

  /** Sampled runs of `seen`, one of which fails first, and unsampled ones of `seen` and `unseen`. */
  async function work(first: "prometheus" | "opentelemetry") {
    const tracing = opentelemetry({ metrics: false })
    const observers = first === "prometheus" ? [metrics, tracing] : [tracing, metrics]
    const app = open({ adapter: host.adapter(), observers })
    const handler = async (fails: boolean, { attempt }: { attempt: number }) => {
      if (fails && attempt === 1) throw new Error("once more")
    }
    const seen = app.task("seen", { retry: { attempts: 2, delay: 1 }, handler })
    const unseen = app.task("unseen", { retry: { attempts: 2, delay: 1 }, handler })
    await app.start()
    const run = async (request: string, task: typeof seen, fails: boolean) => {
      const handle = tracer().startActiveSpan(request, (span) => {
        span.end()
        return task.dispatch(fails)
      })
      await handle.result
    }
    for (const fails of [false, true]) {
      await run("sampled", seen, fails)
      await run("unsampled", seen, fails)
      await run("unsampled", unseen, fails)
    }
    await until(() => positions().length === 3, "the sampled runs have ended")
    return { again: () => run("sampled", seen, true) }
  }

  /** Of each `process` span, where an exemplar has to lead; and under which outcome, which only durations tell. */
  const positions = () =>
    collector.finished
      .filter(({ name }) => name.startsWith("process "))
      .map((span) => ({
        trace_id: span.spanContext().traceId,
        span_id: span.spanContext().spanId,
        task: String(span.attributes["messaging.destination.name"]),
        outcome: String(span.attributes["messaging.taskora.outcome"]),
      }))

  function expectToLeadToRuns(
    labels: Readonly<Record<string, string>>,
    exemplar: Readonly<Record<string, string>>,
  ) {
    const { task, outcome } = labels
    expect(positions()).toContainEqual({
      ...exemplar,
      task,
      outcome: outcome ?? expect.stringMatching(/^(completed|retried)$/),
    })
  }

  test.each(["prometheus", "opentelemetry"] as const)(
    "are those of sampled runs, and in OpenMetrics alone; %s is told first",
    async (first) => {
      await work(first)
      expect(positions().map(({ task, outcome }) => `${task} ${outcome}`)).toEqual([
        "seen completed",
        "seen retried",
        "seen completed",
      ])
      const families = parseExposition(await scrape("openmetrics"), "openmetrics")
      for (const family of families.values()) {
        const found = family.samples.filter(({ exemplar }) => exemplar !== undefined)
        expect(found.length > 0, family.name).toBe(withExemplars.includes(family.name))
        for (const { labels, exemplar } of found) expectToLeadToRuns(labels, exemplar!)
        expect(new Set(found.map(({ labels }) => labels.task))).toEqual(
          new Set(found.length > 0 ? ["seen"] : []),
        )
      }
      const durations = families.get("taskora_job_duration_seconds")!.samples
      const outcomes = durations.filter(({ exemplar }) => exemplar).map(({ labels }) => labels.outcome)
      expect(new Set(outcomes)).toEqual(new Set(["completed", "retried"]))
      expect(await scrape("text")).not.toMatch(/trace_id|span_id| # \{/)
    },
  )

  test("never change a name, however scrapes alternate while jobs run", async () => {
    const { again } = await work("opentelemetry")
    await again()
    const names = (families: ReadonlyMap<string, Family>) =>
      [...families.values()]
        .flatMap((family) => family.samples)
        .map(({ name, labels }) => `${name}${JSON.stringify(Object.entries(labels).sort())}`)
        // Scripts come to be called as time goes by.
        .filter((series) => /^taskora_(?!store_call)/.test(series))
        .sort()
    const known = names(parseExposition(await scrape("text"), "text"))
    expect(known.length).toBeGreaterThan(150)
    for (let round = 0; round < 3; round++) {
      for (const format of ["openmetrics", "text", "openmetrics", "openmetrics", "text"] as const) {
        expect(names(parseExposition(await scrape(format), format))).toEqual(known)
        await again()
      }
    }
  })

  test.skipIf(!isPrometheusHere)(
    "are kept by a real Prometheus, and lead to the runs",
    { timeout: 60_000 },
    async () => {
      await work("opentelemetry")
      const server = await PrometheusServer.start([metrics.port!])
      try {
        for (const name of withExemplars) {
          const query = `query_exemplars?query=${name}_bucket&start=1600000000&end=4000000000`
          type Found = {
            seriesLabels: Record<string, string>
            exemplars: { labels: Record<string, string> }[]
          }[]
          const found = await server.ask<Found>(query, (data) => data.length > 0)
          for (const { seriesLabels, exemplars } of found)
            for (const { labels } of exemplars) expectToLeadToRuns(seriesLabels, labels)
        }
      } finally {
        await server.stop()
      }
    },
  )
})
