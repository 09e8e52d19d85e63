import { metrics } from "@opentelemetry/api"
import {
  AggregationTemporality,
  DataPointType,
  type Histogram,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics"
import { afterEach, describe, expect, it } from "vitest"
import { histograms, messagingInstruments } from "../../../exporters/catalogue.ts"
import {
  metricProducer,
  type OpenTelemetryOptions,
  opentelemetry,
} from "../../../exporters/opentelemetry/index.ts"
import { useProducer } from "../../../exporters/opentelemetry/producer.ts"
import { type Source, type TransitionName, transitionNames } from "../../../src/model/observer.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { aQueue } from "../../support/fake-source.ts"
import { MetricCollector } from "../../support/metrics.ts"

const collectors: MetricCollector[] = []
const engines: FakeEngine[] = []
const uses: { release(): void }[] = []

afterEach(async () => {
  for (const engine of engines.splice(0)) engine.observer.close?.()
  for (const collector of collectors.splice(0)) await collector.stop()
  for (const use of uses.splice(0)) use.release()
  metrics.disable()
})

function use() {
  const used = useProducer()
  uses.push(used)
  return used
}

/** An SDK of which a reader has the producer. */
function fetching(): MetricCollector {
  const collector = new MetricCollector({ metricProducers: [use().producer] })
  collectors.push(collector)
  return collector
}

/** An SDK that knows nothing of the producer. */
function plain(options?: { register?: boolean }): MetricCollector {
  const collector = new MetricCollector(options)
  collectors.push(collector)
  return collector
}

function start(options?: OpenTelemetryOptions, source?: Partial<Source>): FakeEngine {
  const engine = new FakeEngine(opentelemetry(options), source)
  engines.push(engine)
  engine.observer.open?.()
  return engine
}

function runOnce(engine: FakeEngine, durationMs = 20) {
  const attempt = engine.claim(engine.dispatch())
  engine.run(attempt, () => {})
  engine.completed(attempt, durationMs)
}

const duration = histograms.jobDuration
const completed = "task=mail outcome=completed"

describe("what a reader fetches", () => {
  it("is what the meter would have shown: names, units, scope, values", async () => {
    const look = async (collector: MetricCollector) => {
      runOnce(start())
      const scopes = await collector.scopes()
      const shown = scopes.flatMap(({ scope, metrics: all }) =>
        all.map(({ descriptor, dataPointType, aggregationTemporality, dataPoints, ...rest }) => {
          const { name, unit, description, valueType } = descriptor
          const about = { scope, name, unit, description, valueType, dataPointType, aggregationTemporality }
          return { ...about, ...rest, points: dataPoints.map(({ attributes }) => attributes) }
        }),
      )
      return shown
        .filter(({ name }) => !name.startsWith("v8js.") && !name.startsWith("nodejs."))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    }
    const recorded = await look(plain())
    engines.splice(0)[0]?.observer.close?.()
    metrics.disable()
    const fetched = await look(fetching())
    expect(fetched).toEqual(recorded)
    expect(fetched.length).toBeGreaterThan(25)
  })

  it("has totals since the process began, until now", async () => {
    const before = Date.now()
    runOnce(start())
    const sdk = fetching()
    runOnce(start())
    const metric = (await sdk.collect()).get("taskora.jobs.completed")
    expect(metric).toMatchObject({
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPointType: DataPointType.SUM,
      isMonotonic: true,
    })
    const { startTime, endTime } = metric!.dataPoints[0]!
    const ms = ([seconds, nanoseconds]: [number, number]) => seconds * 1000 + nanoseconds / 1e6
    expect(ms(startTime)).toBeCloseTo(performance.timeOrigin, 2)
    expect(ms(endTime)).toBeGreaterThanOrEqual(before)
    expect(ms(endTime)).toBeLessThanOrEqual(Date.now())
  })

  it("does not say of the cluster's totals that they began with this process", async () => {
    const sdk = fetching()
    const transitions = Object.fromEntries(transitionNames.map((name) => [name, 7])) as Record<
      TransitionName,
      number
    >
    const mail = { ...aQueue("mail"), workers: 1, transitions }
    start(undefined, { queue: async () => ({ at: 0, workers: 1, tasks: [mail] }) })
    const metric = (await sdk.collect()).get("taskora.cluster.transitions")
    const starts = metric?.dataPoints.map(({ startTime, value }) => [...startTime, value])
    expect(starts).toEqual(transitionNames.map(() => [0, 0, 7]))
  })

  it("holds each record in its bucket, and changes no more once it was handed out", async () => {
    const sdk = fetching()
    const engine = start()
    for (const ms of [0.5, 20, 20, 7_200_000]) runOnce(engine, ms)
    const value = (await sdk.collect()).get(duration.name)!.dataPoints[0]!.value as Histogram
    runOnce(engine)
    const counts = new Map(value.buckets.counts.map((count, index) => [duration.buckets[index], count]))
    expect(value.buckets.boundaries).toEqual(duration.buckets)
    expect([counts.get(0.001), counts.get(0.025), counts.get(undefined)]).toEqual([1, 2, 1])
    expect([value.count, value.sum]).toEqual([4, 7200.0405])
  })

  it("leaves out what the store did not answer in time, and says that it did not", async () => {
    const sdk = fetching()
    start(undefined, { queue: async () => undefined })
    expect(await sdk.points("taskora.store.up")).toEqual([": 0"])
    expect(await sdk.points("taskora.queue.jobs")).toEqual([])
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 0"])
  })

  it("passes on what failed as it asked the store, beside all else", async () => {
    const { producer } = use()
    start(undefined, { queue: async () => Promise.reject(new Error("broken")) })
    const { errors, resourceMetrics } = await producer.collect()
    expect(errors).toEqual([new Error("broken")])
    expect(resourceMetrics.scopeMetrics[0]?.metrics.map(({ descriptor }) => descriptor.name)).toContain(
      "taskora.jobs.completed",
    )
  })

  it("asks the store for no longer than half of what the reader has", async () => {
    const { producer } = use()
    const waits: number[] = []
    const queue = async (timeoutMs: number) => void waits.push(timeoutMs)
    start(undefined, { queue: queue as Source["queue"] })
    await producer.collect({ timeoutMillis: 100 })
    await producer.collect()
    expect(waits).toEqual([50, 1000])
  })

  it("is nothing where no app is", async () => {
    expect((await use().producer.collect()).resourceMetrics.scopeMetrics).toEqual([])
  })
})

describe("apps of one process", () => {
  it("add up, histograms too, and stay when one of them is closed", async () => {
    const sdk = fetching()
    const [one, another] = [start(), start()]
    runOnce(one)
    runOnce(another)
    expect(await sdk.points(duration.name)).toEqual([`${completed}: 2`])
    one.observer.close?.()
    runOnce(another)
    expect(await sdk.points(duration.name)).toEqual([`${completed}: 3`])
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 3"])
  })

  it("that differ in their buckets lose no record", async () => {
    const sdk = fetching()
    runOnce(start({ buckets: { [duration.name]: [0.01, 0.1, 1] } }))
    runOnce(start({ buckets: { [duration.name]: [0.05, 10] } }))
    const value = (await sdk.collect()).get(duration.name)!.dataPoints[0]!.value as Histogram
    expect(value.buckets).toEqual({ boundaries: [0.01, 0.1, 1], counts: [0, 2, 0, 0] })
    expect(value.count).toBe(2)
  })
})

describe("nothing is shown twice", () => {
  it("while the producer is in use, the global meter has none of it", async () => {
    const global = plain()
    const { producer } = use()
    runOnce(start())
    expect([...(await global.collect()).keys()]).toEqual([])
    const { resourceMetrics } = await producer.collect()
    expect(resourceMetrics.scopeMetrics[0]?.metrics.length).toBeGreaterThan(25)
  })

  it("an app that records through a meter goes on there until that is gone", async () => {
    const first = plain()
    const engine = start()
    runOnce(engine)
    const { producer } = use()
    runOnce(engine)
    expect(await first.points(duration.name)).toEqual([`${completed}: 2`])
    expect((await producer.collect()).resourceMetrics.scopeMetrics).toEqual([])
    metrics.disable()
    runOnce(engine)
    const names = (await producer.collect()).resourceMetrics.scopeMetrics[0]?.metrics ?? []
    expect(
      names.find(({ descriptor }) => descriptor.name === duration.name)?.dataPoints[0]?.value,
    ).toMatchObject({
      count: 3,
    })
  })

  it("an app goes back to the meter once nobody uses the producer", async () => {
    const global = plain()
    const used = use()
    const engine = start()
    runOnce(engine)
    used.release()
    uses.splice(0)
    runOnce(engine)
    expect(await global.points("taskora.jobs.completed")).toEqual(["task=mail: 2"])
    expect((await used.producer.collect()).resourceMetrics.scopeMetrics).toEqual([])
  })

  it("an app with a meter provider of its own keeps to that", async () => {
    const own = plain({ register: false })
    const { producer } = use()
    runOnce(start({ meterProvider: own.provider }))
    expect(await own.points(duration.name)).toEqual([`${completed}: 1`])
    expect((await producer.collect()).resourceMetrics.scopeMetrics).toEqual([])
  })
})

describe("buckets", () => {
  it("are those of the option, in the catalogue's histograms and in those of the conventions", async () => {
    const sdk = fetching()
    const { name } = messagingInstruments.process
    runOnce(start({ buckets: { [duration.name]: [1, 2], [name]: [3] } }))
    const all = await sdk.collect()
    const bounds = (of: string) => (all.get(of)!.dataPoints[0]!.value as Histogram).buckets.boundaries
    expect([bounds(duration.name), bounds(name)]).toEqual([[1, 2], [3]])
  })

  it("travel as advice where metrics are recorded through a meter", async () => {
    const sdk = plain()
    runOnce(start({ buckets: { [duration.name]: [1, 2] } }))
    const value = (await sdk.collect()).get(duration.name)?.dataPoints[0]?.value
    expect(value).toMatchObject({ buckets: { boundaries: [1, 2] } })
  })

  it("are refused by name where they are none", () => {
    const wrong = (options: object) => () => opentelemetry(options as OpenTelemetryOptions)
    expect(wrong({ buckets: { [duration.name]: [2, 1] } })).toThrow("must be 1 to 100 rising finite numbers")
    expect(wrong({ buckets: { "taskora.job.duratoin": [1] } })).toThrow("taskora.job.duration")
    expect(wrong({ taskLimit: 0 })).toThrow("taskLimit is 0; give a whole number from 1 to 10000")
  })
})

it("tasks beyond the limit share a label", async () => {
  const sdk = fetching()
  const engine = start({ taskLimit: 1 })
  for (const task of ["mail", "other"]) {
    const attempt = engine.claim(engine.dispatch({ task }))
    engine.run(attempt, () => {})
    engine.completed(attempt, 20)
  }
  const shown = ["taskora.jobs.completed", "messaging.client.consumed.messages"]
  const points = await Promise.all(shown.map((name) => sdk.points(name)))
  expect(points.map((all) => all.length)).toEqual([2, 2])
  for (const all of points) expect(all[1]).toMatch(/=_OTHER: 1$/)
})

// The last one: metricProducer() gives nothing back.
it("goes into a reader's option as it is", async () => {
  const batches: string[][] = []
  const exporter: PushMetricExporter = {
    export(batch, done) {
      batches.push(
        batch.scopeMetrics.flatMap(({ metrics: all }) => all.map(({ descriptor }) => descriptor.name)),
      )
      done({ code: 0 })
    },
    async forceFlush() {},
    async shutdown() {},
  }
  const reader = new PeriodicExportingMetricReader({ exporter, metricProducers: [metricProducer()] })
  const provider = new MeterProvider({ readers: [reader] })
  runOnce(start())
  await provider.forceFlush()
  expect(batches[0]).toContain(duration.name)
  expect(new Set(batches[0]).size).toBe(batches[0]!.length)
  await provider.shutdown()
})
