import { metrics } from "@opentelemetry/api"
import { afterEach, describe, expect, it } from "vitest"
import { histograms } from "../../../exporters/catalogue.ts"
import { type OpenTelemetryOptions, opentelemetry } from "../../../exporters/opentelemetry/index.ts"
import type { QueueSnapshot, Source } from "../../../src/model/observer.ts"
import { FakeEngine } from "../../support/fake-engine.ts"
import { MetricCollector } from "../../support/metrics.ts"

const collectors: MetricCollector[] = []
const engines: FakeEngine[] = []

afterEach(async () => {
  for (const engine of engines.splice(0)) engine.observer.close?.()
  for (const collector of collectors.splice(0)) await collector.stop()
  metrics.disable()
})

function collect(options?: { register?: boolean }): MetricCollector {
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

function runOnce(engine: FakeEngine) {
  const attempt = engine.claim(engine.dispatch())
  engine.run(attempt, () => {})
  engine.completed(attempt, 20)
}

describe("counters", () => {
  it("exist at zero for every declared task, and count", async () => {
    const sdk = collect()
    const engine = start()
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 0"])
    expect(await sdk.points("taskora.jobs.stalled")).toEqual([
      "task=mail action=recovered: 0",
      "task=mail action=failed: 0",
    ])
    runOnce(engine)
    runOnce(engine)
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 2"])
  })

  it("include what happened before the SDK was registered", async () => {
    const engine = start()
    runOnce(engine)
    const sdk = collect()
    runOnce(engine)
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 2"])
  })

  it("are found by a worker that was running before the SDK was registered", async () => {
    const engine = start()
    const attempt = engine.claim(engine.dispatch())
    const sdk = collect()
    engine.run(attempt, () => {})
    expect(await sdk.points("taskora.attempts.started")).toEqual(["task=mail: 1"])
  })

  it("are found, at zero, by a worker that has no jobs", async () => {
    const { observer } = start()
    const sdk = collect()
    await observer.storeCall?.({ script: "wait", blocking: true }, async () => "OK")
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 0"])
  })

  it("move with the global provider", async () => {
    const first = collect()
    const engine = start()
    runOnce(engine)
    metrics.disable()
    const second = collect()
    runOnce(engine)
    expect(await second.points("taskora.jobs.completed")).toEqual(["task=mail: 2"])
    expect(await first.points("taskora.job.duration")).toEqual(["task=mail outcome=completed: 1"])
    expect(await second.points("taskora.job.duration")).toEqual(["task=mail outcome=completed: 1"])
  })

  it("of two apps in one process add up, and stay when one of them is closed", async () => {
    const sdk = collect()
    const [one, other] = [start(), start()]
    runOnce(one)
    runOnce(other)
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 2"])
    one.observer.close?.()
    runOnce(other)
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["task=mail: 3"])
    expect(await sdk.points("messaging.client.consumed.messages")).toEqual([
      "messaging.system.name=taskora messaging.operation.name=process messaging.destination.name=mail: 3",
    ])
  })

  it("count once where two observers show the same app", async () => {
    const [first, second] = [collect({ register: false }), collect({ register: false })]
    const engine = start({ meterProvider: first.provider })
    const another = opentelemetry({ meterProvider: second.provider })
    another.source?.(engine.source)
    another.open?.()
    const attempt = engine.claim(engine.dispatch())
    for (const { transition } of [engine.observer, another]) transition?.({ kind: "active", attempt })
    expect(await first.points("taskora.attempts.started")).toEqual(["task=mail: 1"])
    expect(await second.points("taskora.attempts.started")).toEqual(["task=mail: 1"])
    expect(await second.points("taskora.job.wait.duration")).toEqual(["task=mail: 1"])
    another.close?.()
  })

  it("carry the prefix where there is one", async () => {
    const sdk = collect()
    runOnce(start(undefined, { prefix: "shop" }))
    expect(await sdk.points("taskora.jobs.completed")).toEqual(["prefix=shop task=mail: 1"])
    expect(await sdk.points("taskora.job.wait.duration")).toEqual(["prefix=shop task=mail: 1"])
  })
})

describe("histograms", () => {
  it("have the catalogue's name, unit, description and buckets", async () => {
    const sdk = collect()
    runOnce(start())
    const { name, unit, description, buckets } = histograms.jobDuration
    const metric = (await sdk.collect()).get(name)
    expect(metric?.descriptor).toMatchObject({ name, unit, description })
    expect(metric?.dataPoints[0]?.value).toMatchObject({
      count: 1,
      sum: 0.02,
      buckets: { boundaries: buckets },
    })
  })

  it("hold the durations of store calls, blocking waits apart", async () => {
    const sdk = collect()
    const { observer } = start()
    await observer.storeCall?.({ script: "enqueue", blocking: false, task: "mail" }, async () => "OK")
    await observer.storeCall?.({ script: "renew", blocking: false }, async () => "OK")
    await observer.storeCall?.({ script: "wait", blocking: true }, async () => "OK")
    expect(await sdk.points("taskora.store.call.duration")).toEqual(["script=enqueue: 1", "script=renew: 1"])
  })
})

describe("the instruments of the conventions", () => {
  const common = "messaging.system.name=taskora"
  const mail = "messaging.destination.name=mail"

  it("count what was sent, also in vain, but not what was refused before", async () => {
    const sdk = collect()
    const engine = start()
    engine.dispatchMany(3)
    for (const reason of ["connection", "serialization"] as const) {
      const dispatch = engine.begin(1)
      engine.tell({ kind: "rejected", dispatch, count: 1, reason, error: new RangeError("no") })
    }
    expect(await sdk.points("messaging.client.sent.messages")).toEqual([
      `${common} messaging.operation.name=send ${mail}: 3`,
      `${common} messaging.operation.name=send ${mail} error.type=RangeError: 1`,
    ])
  })

  it("time sends and settlements only", async () => {
    const sdk = collect()
    const { observer } = start()
    const call = (script: string, task?: string, run = async () => "OK") =>
      observer.storeCall?.({ script, blocking: false, ...(task !== undefined && { task }) }, run)
    await call("enqueue", "mail")
    await call("launch", "mail")
    await call("settle", "mail")
    await call("settle")
    const failing = async () => Promise.reject(new RangeError("gone"))
    await expect(call("enqueue", "mail", failing)).rejects.toThrow("gone")
    expect(await sdk.points("messaging.client.operation.duration")).toEqual([
      `${common} messaging.operation.name=send ${mail}: 2`,
      `${common} messaging.operation.name=settle ${mail}: 1`,
      `${common} messaging.operation.name=send ${mail} error.type=RangeError: 1`,
    ])
  })

  it("time runs, with the class of the error where they failed", async () => {
    const sdk = collect()
    const engine = start()
    runOnce(engine)
    const job = engine.dispatch()
    const attempt = engine.claim(job)
    engine.run(attempt, () => {})
    engine.failed(job, attempt, new TypeError("no"))
    expect(await sdk.points("messaging.process.duration")).toEqual([
      `${common} messaging.operation.name=process ${mail}: 1`,
      `${common} messaging.operation.name=process ${mail} error.type=TypeError: 1`,
    ])
    const { value } = (await sdk.collect()).get("messaging.process.duration")!.dataPoints[0]!
    expect(value).toMatchObject({ sum: 0.02 })
  })
})

describe("gauges", () => {
  const snapshot: QueueSnapshot = {
    at: 0,
    workers: 2,
    tasks: [
      {
        task: "mail",
        waiting: 7,
        delayed: 1,
        active: 2,
        parked: 0,
        paused: false,
        oldestAt: 5000,
        workers: 2,
        transitions: { dispatched: 9 } as QueueSnapshot["tasks"][number]["transitions"],
      },
    ],
  }

  it("show the queue as the store answers, alike for all apps of the process", async () => {
    const sdk = collect()
    for (let n = 0; n < 2; n++) start(undefined, { queue: async () => snapshot })
    expect(await sdk.points("taskora.queue.jobs")).toEqual([
      "task=mail state=waiting: 7",
      "task=mail state=parked: 0",
      "task=mail state=delayed: 1",
      "task=mail state=active: 2",
    ])
    expect(await sdk.points("taskora.store.up")).toEqual([": 1"])
    expect(await sdk.points("taskora.cluster.transitions")).toContain("task=mail transition=dispatched: 9")
  })

  it("of the queue are absent when the store does not answer, and where they are switched off", async () => {
    const sdk = collect()
    const engine = start(undefined, { queue: async () => undefined })
    expect(await sdk.points("taskora.queue.jobs")).toEqual([])
    expect(await sdk.points("taskora.store.up")).toEqual([": 0"])
    engine.observer.close?.()
    start({ queueGauges: false }, { queue: async () => snapshot, connected: () => true })
    expect(await sdk.points("taskora.queue.jobs")).toEqual([])
    expect(await sdk.points("taskora.store.up")).toEqual([": 1"])
  })

  it("add up slots of two apps", async () => {
    const sdk = collect()
    const slots = () => [{ task: "mail", busy: 2, idle: 1, abandoned: 0 }]
    for (let n = 0; n < 2; n++) start(undefined, { slots })
    expect(await sdk.points("taskora.worker.slots")).toEqual([
      "task=mail state=busy: 4",
      "task=mail state=idle: 2",
      "task=mail state=abandoned: 0",
    ])
  })
})

it("records nothing with `metrics: false`", async () => {
  const sdk = collect()
  runOnce(start({ metrics: false }))
  expect((await sdk.collect()).size).toBe(0)
})
