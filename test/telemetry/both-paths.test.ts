import type { Histogram } from "@opentelemetry/sdk-metrics"
import { afterEach, expect, test } from "vitest"
import { instruments, prometheusLabel, prometheusName } from "../../exporters/catalogue.ts"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { useProducer } from "../../exporters/opentelemetry/producer.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { untilAborted } from "../support/aborted.ts"
import { parseExposition } from "../support/exposition.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { MetricCollector } from "../support/metrics.ts"

type Series = Record<string, number>
type How = "recorded" | "fetched"

const compared = instruments.filter(({ name, kind }) => name.startsWith("taskora.") && kind !== "gauge")
const gauges = instruments.filter(({ name, kind }) => name.startsWith("taskora.") && kind === "gauge")

/** What cannot happen here; all else must, or it would be compared as nothing with nothing. */
const withoutOccasion = [
  "taskora.attempts.released",
  "taskora.events.lost",
  "taskora.jobs.expired",
  "taskora.jobs.revived",
  "taskora.jobs.stalled",
  "taskora.leases.lost",
  "taskora.observer.errors",
  "taskora.schedule.lateness",
  "taskora.schedule.missed",
  "taskora.schedule.skipped",
  "taskora.series.overflows",
  "taskora.stall.recovery.duration",
  "taskora.worker.errors",
  "taskora.worker.shutdowns",
  "taskora.workflow.duration",
  "taskora.workflows.cancelled",
  "taskora.workflows.completed",
  "taskora.workflows.failed",
  "taskora.workflows.started",
]

function sorted(series: Series): Series {
  return Object.fromEntries(Object.entries(series).sort())
}

function key(name: string, labels: Readonly<Record<string, unknown>>): string {
  return `${name}${JSON.stringify(Object.entries(labels).sort())}`
}

/** What a scrape reads; bounds of buckets as numbers are written. */
function scraped(body: string): Series {
  const series: Series = {}
  for (const family of parseExposition(body, "text").values()) {
    if (!family.name.startsWith("taskora_")) continue
    for (const { name, labels, value } of family.samples) {
      const { le, ...others } = labels
      const bound = le === undefined || le === "+Inf" ? le : String(Number(le))
      series[key(name, bound === undefined ? others : { ...others, le: bound })] = value
    }
  }
  return series
}

/** The same of what an SDK collected, under the names that the rules of translation give. */
async function collected(collector: MetricCollector): Promise<Series> {
  const series: Series = {}
  const metrics = await collector.collect()
  for (const instrument of [...compared, ...gauges]) {
    const name = prometheusName(instrument)
    for (const { attributes, value } of metrics.get(instrument.name)?.dataPoints ?? []) {
      const labels = Object.fromEntries(
        Object.entries(attributes).map(([label, text]) => [prometheusLabel(label), text]),
      )
      if (typeof value === "number") series[key(name, labels)] = value
      else {
        const { count, sum, buckets } = value as Histogram
        series[key(`${name}_count`, labels)] = count
        series[key(`${name}_sum`, labels)] = sum!
        let below = 0
        for (const [index, inside] of buckets.counts.entries()) {
          below += inside
          const le = String(buckets.boundaries[index] ?? "+Inf")
          series[key(`${name}_bucket`, { ...labels, le })] = below
        }
      }
    }
  }
  return series
}

onBothHosts("both paths", (host) => {
  const open = testApps()
  let collector: MetricCollector
  let release = () => {}

  /** An SDK that either has all recorded through its meter, or has a reader which fetches all. */
  function collect(how: How) {
    const used = how === "fetched" ? useProducer() : undefined
    release = () => used?.release()
    collector = new MetricCollector({ metricProducers: used ? [used.producer] : [] })
  }
  afterEach(async () => {
    await collector.stop()
    release()
  })

  test.each([
    ["prometheus first", "recorded"],
    ["opentelemetry first", "recorded"],
    ["prometheus first", "fetched"],
    ["opentelemetry first", "fetched"],
  ] as const)("say the same, %s, %s", async (order, how) => {
    collect(how)
    const metrics = prometheus({ port: false })
    const tracing = opentelemetry()
    const observers = order === "prometheus first" ? [metrics, tracing] : [tracing, metrics]
    const app = open({ adapter: host.adapter(), observers })
    app.on("task:failed", () => {})
    app.on("task:progress", () => {})
    const task = app.task("t", {
      concurrency: 3,
      retry: { attempts: 2, delay: 1 },
      objectives: {
        success: 0.9,
        wait: { within: "1s", target: 0.9 },
        duration: { within: "1s", target: 0.9 },
      },
      async handler(deed: string, ctx) {
        ctx.progress({ attempt: ctx.attempt })
        if (deed === "fail") throw new RangeError("always")
        if (deed === "retry" && ctx.attempt === 1) throw new TypeError("once more")
        if (deed === "hold") await untilAborted(ctx.signal)
        return deed
      },
    })
    const parked = app.task("parked")
    await app.start()
    const deeds = ["return", "return", "fail", "retry", "return"]
    await Promise.allSettled(deeds.map((deed) => task.dispatch(deed).result))
    const held = task.dispatch("hold")
    await until(async () => (await held.getState()) === "active", "it runs")
    await held.cancel()
    await expect(held.result).rejects.toThrow("cancelled")
    await expect(Promise.resolve(task.dispatch(10n as never))).rejects.toThrow("BigInt")
    await parked.dispatch({}, { jobId: "twin" })
    await parked.dispatch({}, { jobId: "twin" })
    await parked.dispatch({}, { delay: "1h" }).cancel()

    // What goes on in the background must not fall between the two looks.
    let before: Series = {}
    let otel: Series = {}
    await until(async () => {
      before = scraped((await metrics.render()).body)
      otel = await collected(collector)
      const after = scraped((await metrics.render()).body)
      return JSON.stringify(before) === JSON.stringify(after)
    }, "nothing changes between two scrapes")
    expect(Object.keys(otel).sort()).toEqual(Object.keys(before).sort())
    for (const [series, value] of Object.entries(before))
      expect(Math.abs(otel[series]! - value), series).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(value)))

    const active = Object.entries(before).filter(([, value]) => value > 0)
    const quiet = compared.filter(
      (instrument) => !active.some(([series]) => series.startsWith(prometheusName(instrument))),
    )
    expect(withoutOccasion).toEqual(expect.arrayContaining(quiet.map((instrument) => instrument.name)))
  })

  test.each(["recorded", "fetched"] as const)("apps of one process add up, %s", async (how) => {
    collect(how)
    const adapter = host.adapter()
    const pods = [adapter, host.sibling(adapter)].map((own) => {
      const metrics = prometheus({ port: false })
      const app = open({ adapter: own, observers: [metrics, opentelemetry()] })
      return { metrics, app, task: app.task("t", async () => {}) }
    })
    for (const { app } of pods) await app.start()
    for (const [index, { task }] of pods.entries())
      await Promise.all(Array.from({ length: 3 + index }, () => task.dispatch({}).result))
    const name = "taskora_jobs_completed_total"
    const sum = (all: readonly Series[], part: string) =>
      all
        .flatMap(Object.entries)
        .reduce((total, [series, value]) => total + (series.startsWith(part) ? value : 0), 0)
    const bodies = await Promise.all(pods.map(async ({ metrics }) => scraped((await metrics.render()).body)))
    const otel = await collected(collector)
    expect(sum(bodies, name)).toBe(7)
    expect(sum([otel], name)).toBe(7)
    expect(sum([otel], "taskora_worker_slots")).toBe(2)
    for (const series of [...bodies, otel])
      for (const gauge of ["taskora_workers[", "taskora_task_workers["]) expect(sum([series], gauge)).toBe(2)
    const cluster = (series: Series) =>
      Object.fromEntries(
        Object.entries(series).filter(([key]) => key.startsWith("taskora_cluster_transitions")),
      )
    await until(async () => {
      const [first, second] = await Promise.all(
        pods.map(async ({ metrics }) => scraped((await metrics.render()).body)),
      )
      const all = [first!, second!, await collected(collector)].map((series) =>
        JSON.stringify(sorted(cluster(series))),
      )
      return new Set(all).size === 1 && /completed[^:]*:7/.test(all[0]!)
    }, "all agree on what the cluster did")
  })
})
