import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type DataPoint, type Histogram, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { counters, instruments, prometheusName } from "../../exporters/catalogue.ts"
import { opentelemetry, startTelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import type { Observer, Transition } from "../../src/model/observer.ts"
import { type Family, parseExposition, seriesValue } from "../support/exposition.ts"
import { aDispatch, anAttempt, aQueue, FakeSource } from "../support/fake-source.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { attributes, OtlpReceiver } from "../support/otlp-receiver.ts"
import { observed, scrape } from "../support/scrape.ts"
import { resetTelemetry } from "../support/spans.ts"

const taskCount = 1000
const taskLimit = 300
const classCount = 100_000
const pairLimit = 900
const finished = { durationMs: 1, totalMs: 1 }

/** One job of each kind of ending, so that every counter and histogram of the task has moved. */
function lifeOf(task: string): Transition[] {
  const attempt = anAttempt(task)
  const dispatch = aDispatch(task)
  const failure = { attempt, ...finished, error: 0 } as const
  const stall = { task, id: "j", count: 1, attempt: 1, headers: {}, recoveryMs: 1, totalMs: 1 } as const
  return [
    { kind: "dispatched", dispatch, stored: 1, duplicates: 0, payloadBytes: [1] },
    { kind: "rejected", dispatch, count: 1, reason: "connection", error: new Error("away") },
    { kind: "active", attempt },
    { kind: "progress", attempt, progress: 1 },
    { kind: "completed", attempt, ...finished, resultBytes: 1 },
    { kind: "failed", ...failure, cause: "error", errorType: "RangeError", willRetry: true },
    { kind: "retrying", attempt, nextAttempt: 2, delayMs: 1 },
    { kind: "failed", ...failure, cause: "timeout", errorType: "TimeoutError", willRetry: false },
    { kind: "cancelled", attempt, ...finished },
    { kind: "released", attempt, durationMs: 1 },
    { kind: "lost", attempt, durationMs: 1 },
    { kind: "removed", task, id: "j", state: "waiting", totalMs: 1, attempts: 0, headers: {} },
    { kind: "revived", task, jobs: [{ id: "j", headers: {} }] },
    { kind: "stalled", action: "recovered", ...stall },
    { kind: "stalled", action: "failed", ...stall },
    { kind: "delivered", task, count: 2, lagMs: 1 },
    { kind: "events lost", task, lost: 1 },
  ]
}

function failed(task: string, errorType: string): Transition {
  return {
    kind: "failed",
    attempt: anAttempt(task),
    ...finished,
    cause: "error",
    errorType,
    error: 0,
    willRetry: false,
  }
}

/** A thousand declared tasks that live, and then a hundred thousand classes of errors. */
function flood(observer: Observer, source: FakeSource): void {
  for (let i = 0; i < taskCount; i++) source.declare(`task-${i}`)
  for (let i = 0; i < taskCount; i++)
    for (const transition of lifeOf(`task-${i}`)) observer.transition!(transition)
  for (let i = 0; i < classCount; i++) observer.transition!(failed(`task-${i % taskCount}`, `Error${i}`))
}

/** What the flood comes to by instrument, whatever the labels. */
const flooded: Readonly<Record<string, number>> = {
  "taskora.jobs.dispatched": taskCount,
  "taskora.jobs.rejected": taskCount,
  "taskora.attempts.started": taskCount,
  // Each life fails twice in a worker, and once by a stall.
  "taskora.attempts.failed": 3 * taskCount + classCount,
  "taskora.attempts.released": taskCount,
  "taskora.jobs.completed": taskCount,
  "taskora.jobs.failed": 2 * taskCount + classCount,
  "taskora.jobs.retried": taskCount,
  "taskora.jobs.revived": taskCount,
  "taskora.jobs.stalled": 2 * taskCount,
  "taskora.jobs.cancelled": 2 * taskCount,
  "taskora.job.progress.reports": taskCount,
  "taskora.leases.lost": taskCount,
  "taskora.events.delivered": 2 * taskCount,
  "taskora.events.lost": taskCount,
  "taskora.job.duration": 6 * taskCount + classCount,
  "taskora.job.wait.duration": taskCount,
  "taskora.job.total.duration": 5 * taskCount + classCount,
  "taskora.job.attempts": 4 * taskCount + classCount,
  "taskora.job.payload.size": 2 * taskCount,
}
/** Measurements of the 700 tasks that have no label of their own. */
const beyond = taskCount - taskLimit
const ofOthers = (name: string) => (flooded[name]! * beyond) / taskCount

/** The most series that an instrument may have: its closed values for each label, and the pairs of errors. */
function bound({ attributes: labels }: (typeof instruments)[number]): number {
  const closed = labels.reduce((product, { values }) => product * (values?.length ?? 1), 1)
  if (labels.some(({ name }) => name === "error.type")) return closed * (pairLimit + taskLimit + 1)
  return labels.some(({ name }) => name === "task") ? closed * (taskLimit + 1) : Math.max(closed, 100)
}

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

function heapUsed(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** More floods must not take more memory: a hundred thousand remembered names would take ten times this. */
const noise = 2_000_000

function moreClasses(observer: Observer, round: number): void {
  for (let i = 0; i < classCount; i++)
    observer.transition!(failed(`other-${round}-${i}`, `Late${round}x${i}`))
}

/** Counts of counters and histograms, by instrument and label set. */
type Points = ReadonlyMap<
  string,
  readonly { readonly labels: Readonly<Record<string, unknown>>; count: number }[]
>

function pointsOf(families: ReadonlyMap<string, Family>): Points {
  return new Map(
    instruments.flatMap((instrument) => {
      if (instrument.kind === "gauge") return []
      const name = prometheusName(instrument)
      const sample = instrument.kind === "counter" ? name : `${name}_count`
      const samples = families.get(name)?.samples.filter((s) => s.name === sample) ?? []
      return [[instrument.name, samples.map(({ labels, value }) => ({ labels, count: value }))]]
    }),
  )
}

function expectBounded(points: Points): void {
  const total = (name: string, only: (labels: Readonly<Record<string, unknown>>) => boolean = () => true) =>
    (points.get(name) ?? []).reduce((sum, { labels, count }) => sum + (only(labels) ? count : 0), 0)
  const overflows = (name: string) =>
    total("taskora.series.overflows", (labels) => labels.instrument === name)
  for (const instrument of instruments) {
    const { name } = instrument
    expect(points.get(name)?.length ?? 0, name).toBeLessThanOrEqual(bound(instrument))
    if (!(name in flooded)) continue
    expect(total(name), name).toBe(flooded[name])
    expect(
      total(name, ({ task }) => task === "_OTHER"),
      name,
    ).toBe(ofOthers(name))
    const unlabelled = total(name, (labels) => Object.values(labels).includes("_OTHER"))
    expect(unlabelled, name).toBeGreaterThan(0)
  }
  // Events are counted several at once, which is one measurement.
  const measured = Object.keys(flooded).filter((name) => !name.startsWith("taskora.events"))
  for (const name of measured) {
    const unlabelled = total(name, (labels) => Object.values(labels).includes("_OTHER"))
    expect(overflows(name), name).toBe(unlabelled)
  }
  const failures = points.get("taskora.attempts.failed")!
  const pairs = new Set(
    failures.map(({ labels }) => `${labels.task} ${labels.error_type ?? labels["error.type"]}`),
  )
  expect([...pairs].filter((pair) => !pair.endsWith("_OTHER")).length).toBe(pairLimit)
  expect(new Set(failures.map(({ labels }) => labels.task)).size).toBe(taskLimit + 1)
}

describe("1,000 tasks and 100,000 classes of errors on /metrics", () => {
  test("stay within the limits, lose nothing, and show", async () => {
    const { metrics, source } = observed()
    source.snapshot = {
      at: 0,
      workers: 1,
      tasks: Array.from({ length: taskCount }, (_, i) => {
        const { transitions } = aQueue("")
        return aQueue(`task-${i}`, { waiting: 3, transitions: { ...transitions, completed: 5 } })
      }),
    }
    flood(metrics, source)
    const families = await scrape(metrics)
    expectBounded(pointsOf(families))
    for (const instrument of instruments.filter(({ kind }) => kind === "gauge")) {
      const samples = families.get(prometheusName(instrument))?.samples ?? []
      expect(samples.length, instrument.name).toBeLessThanOrEqual(bound(instrument))
    }
    const waiting = { task: "_OTHER", state: "waiting" }
    expect(seriesValue(families, "taskora_queue_jobs", waiting)).toBe(3 * beyond)
    const completed = { task: "_OTHER", transition: "completed" }
    const transitions = prometheusName(counters.clusterTransitions)
    expect(seriesValue(families, transitions, completed)).toBe(5 * beyond)
  })

  test("take no more memory however many more come", async () => {
    const { metrics, source } = observed()
    flood(metrics, source)
    moreClasses(metrics, 1)
    const series = countSeries(await scrape(metrics))
    const before = heapUsed()
    moreClasses(metrics, 2)
    expect(countSeries(await scrape(metrics))).toBe(series)
    expect(heapUsed() - before).toBeLessThan(noise)
  })
})

function countSeries(families: ReadonlyMap<string, Family>): number {
  return [...families.values()]
    .filter(({ name }) => name.startsWith("taskora_"))
    .reduce((sum, { samples }) => sum + samples.length, 0)
}

interface Point {
  readonly attributes: Parameters<typeof attributes>[0]
  readonly asDouble?: number
  readonly asInt?: number | string
  readonly count?: number | string
}

interface MetricsBody {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly {
        readonly name: string
        readonly sum?: { readonly dataPoints: readonly Point[] }
        readonly histogram?: { readonly dataPoints: readonly Point[] }
      }[]
    }[]
  }[]
}

/** What the last export told. */
function exported(receiver: OtlpReceiver): Points {
  const at = receiver.requests.findLastIndex(({ path }) => path.endsWith("/v1/metrics"))
  const { resourceMetrics } = JSON.parse(receiver.bodies[at]!) as MetricsBody
  const metrics = resourceMetrics.flatMap((r) => r.scopeMetrics).flatMap((scope) => scope.metrics)
  return new Map(
    metrics.map(({ name, sum, histogram }) => [
      name,
      (sum ?? histogram)?.dataPoints.map((point) => ({
        labels: attributes(point.attributes),
        count: Number(point.asDouble ?? point.asInt ?? point.count ?? 0),
      })) ?? [],
    ]),
  )
}

/** A way of the numbers into an SDK, or out of it. */
interface Path {
  readonly observer: Observer
  read(): Promise<Points>
  /** Drops what the test itself keeps of earlier reads. */
  forget(): void
  stop(): Promise<void>
}

async function byOtlp(): Promise<Path> {
  const receiver = await OtlpReceiver.start()
  const telemetry = await startTelemetry({
    serviceName: "flooded",
    endpoint: receiver.endpoint,
    // However slow the machine is: an export that is still under way holds all of its text.
    flushTimeout: "1m",
    metricInterval: "1h",
  })
  return {
    observer: opentelemetry({ traces: false }),
    async read() {
      await telemetry.flush()
      return exported(receiver)
    },
    forget() {
      for (const kept of [receiver.bodies, receiver.metrics, receiver.requests, receiver.resources])
        kept.length = 0
    },
    async stop() {
      await telemetry.shutdown()
      await receiver.stop()
      resetTelemetry()
    },
  }
}

class ManualReader extends MetricReader {
  protected async onForceFlush() {}
  protected async onShutdown() {}
}

/** The SDK of a user, who has raised its limit: beyond 2,000 label sets it loses values. */
async function byMeter(): Promise<Path> {
  const reader = new ManualReader()
  const views = [{ instrumentName: "*", meterName: "taskora", aggregationCardinalityLimit: 20_000 }]
  const meterProvider = new MeterProvider({ readers: [reader], views })
  return {
    observer: opentelemetry({ traces: false, meterProvider }),
    async read() {
      const { resourceMetrics } = await reader.collect()
      const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
      return new Map(
        metrics.map(({ descriptor, dataPoints }) => [
          descriptor.name,
          (dataPoints as readonly DataPoint<number | Histogram>[]).map(({ attributes: labels, value }) => ({
            labels,
            count: typeof value === "number" ? value : value.count,
          })),
        ]),
      )
    },
    forget() {},
    stop: () => meterProvider.shutdown(),
  }
}

describe.each([
  ["by OTLP", byOtlp],
  ["through a meter", byMeter],
] as const)("1,000 tasks and 100,000 classes of errors %s", (_, open) => {
  let path: Path

  beforeEach(async () => {
    path = await open()
    const source = new FakeSource()
    path.observer.source!(source)
    await path.observer.open?.()
    flood(path.observer, source)
  }, 60_000)
  afterEach(() => path.stop())

  test("stay within the limits, lose nothing, and show", async () => {
    const points = await path.read()
    expectBounded(points)
    // Where the SDK folds label sets of its own accord, it says so by this attribute.
    for (const [name, all] of points) {
      const folded = all.filter(({ labels }) => "otel.metric.overflow" in labels)
      expect(folded, name).toEqual([])
    }
    const consumed = points.get("messaging.client.consumed.messages")!
    expect(consumed.length).toBeLessThanOrEqual(1500)
    expect(consumed.reduce((sum, { count }) => sum + count, 0)).toBe(taskCount)
    const processed = points.get("messaging.process.duration")!
    expect(processed.length).toBeLessThanOrEqual(2000)
    expect(processed.reduce((sum, { count }) => sum + count, 0)).toBe(6 * taskCount + classCount)
  }, 60_000)

  test("take no more memory however many more come", async () => {
    const sizes = async () =>
      [...(await path.read())].flatMap(([name, all]) => (name in flooded ? `${name} ${all.length}` : []))
    moreClasses(path.observer, 1)
    const before = { series: await sizes(), heap: heapWithout(path) }
    moreClasses(path.observer, 2)
    expect(await sizes()).toEqual(before.series)
    expect(heapWithout(path) - before.heap).toBeLessThan(noise)
  }, 60_000)
})

function heapWithout(path: Path): number {
  path.forget()
  return heapUsed()
}

onBothHosts("an app of 1,000 tasks", (host) => {
  const open = testApps()

  test("shows what it dispatched, and what waits, under 300 names and _OTHER", async () => {
    const metrics = prometheus({ port: false })
    const app = open({ adapter: host.adapter(), observers: [metrics] })
    const tasks = Array.from({ length: taskCount }, (_, i) => app.task(`task-${i}`))
    await Promise.all(tasks.map((task) => task.dispatch({})))
    const families = parseExposition((await metrics.render()).body, "text")
    const samples = (name: string, label: string, value: string) =>
      families.get(name)!.samples.filter(({ labels }) => labels[label] === value)
    const dispatched = families.get("taskora_jobs_dispatched_total")!.samples
    const stored = samples("taskora_cluster_transitions_total", "transition", "dispatched")
    const waiting = samples("taskora_queue_jobs", "state", "waiting")
    for (const all of [dispatched, stored, waiting]) {
      expect(all).toHaveLength(taskLimit + 1)
      expect(all.reduce((sum, { value }) => sum + value, 0)).toBe(taskCount)
      expect(all.find(({ labels }) => labels.task === "_OTHER")?.value).toBe(beyond)
    }
  }, 60_000)
})
