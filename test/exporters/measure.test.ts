import { describe, expect, test } from "vitest"
import { counters, instruments, prometheusName } from "../../exporters/catalogue.ts"
import { measure } from "../../exporters/measure/measure.ts"
import type { Transition } from "../../src/model/observer.ts"
import { type Family, seriesValue } from "../support/exposition.ts"
import { anAttempt, aQueue, FakeSource } from "../support/fake-source.ts"
import { observed, scrape } from "../support/scrape.ts"

const active: Transition = { kind: "active", attempt: anAttempt("t") }

function failed(task: string, errorType: string): Transition {
  return {
    kind: "failed",
    attempt: anAttempt(task),
    durationMs: 1,
    cause: "error",
    errorType,
    error: 0,
    willRetry: true,
  }
}

function seriesCount(families: ReadonlyMap<string, Family>): number {
  return [...families.values()].reduce((sum, family) => sum + family.samples.length, 0)
}

describe("counters", () => {
  test("exist at 0 for every known child of a declared task", async () => {
    const { metrics, source } = observed()
    source.schedule("s")
    source.declare("t", {
      objectives: { success: 0.999, wait: { withinMs: 10_000, target: 0.99 } },
    })
    const families = await scrape(metrics)
    for (const instrument of Object.values(counters)) {
      const labels = instrument.attributes.map((a) => a.name)
      // Neither has children that are known in advance: what fails is not, and the other is the store's.
      if (labels.includes("error.type") || instrument === counters.clusterTransitions) continue
      const family = families.get(prometheusName(instrument))
      const expected = instrument.attributes.reduce((n, a) => n * (a.values?.length ?? 1), 1)
      const values = family?.samples.map((sample) => sample.value) ?? []
      expect(
        values.every((value) => value === 0),
        instrument.name,
      ).toBe(true)
      if (instrument === counters.seriesOverflows) expect(values.length).toBeGreaterThan(20)
      else if (labels.includes("objective")) expect(values).toHaveLength(2)
      else expect(values, instrument.name).toHaveLength(expected)
    }
  })

  test("of failed attempts are born for both values of will_retry", async () => {
    const { metrics } = observed()
    metrics.transition(failed("t", "Error"))
    const labels = { task: "t", error_type: "Error", will_retry: "false" }
    expect(seriesValue(await scrape(metrics), "taskora_attempts_failed_total", labels)).toBe(0)
  })
})

test("histograms are not initialised at zero", async () => {
  const { metrics, source } = observed()
  source.declare("t")
  const types = [...(await scrape(metrics)).values()].map((family) => family.type)
  expect(types).not.toContain("histogram")
})

describe("several observers of one app", () => {
  test("show the same numbers, counted once", async () => {
    const source = new FakeSource()
    const one = observed({}, source).metrics
    const two = observed({ labels: { pod: "a" } }, source).metrics
    for (const metrics of [one, two]) metrics.transition(active)
    expect(seriesValue(await scrape(one), "taskora_attempts_started_total", { task: "t" })).toBe(1)
    const labelled = { pod: "a", task: "t" }
    expect(seriesValue(await scrape(two), "taskora_attempts_started_total", labelled)).toBe(1)
  })

  test("cannot differ in what they share", () => {
    const source = new FakeSource()
    observed({ buckets: { "taskora.job.duration": [1, 2] } }, source)
    expect(() => observed({ buckets: { "taskora.job.duration": [1, 3] } }, source)).toThrow(
      /buckets of taskora.job.duration/,
    )
  })

  test("cannot change buckets that hold records", () => {
    const source = new FakeSource()
    observed({}, source).metrics.transition(active)
    expect(() => observed({ buckets: { "taskora.job.wait.duration": [1] } }, source)).toThrow(
      /once something was recorded/,
    )
  })
})

test("one observer refuses to serve two apps", () => {
  const { metrics } = observed()
  expect(() => metrics.source(new FakeSource())).toThrow(/one app/)
})

describe("cardinality", () => {
  test("100,000 task names stay within the limit, and lose nothing", async () => {
    const { metrics } = observed()
    for (let i = 0; i < 100_000; i++) {
      metrics.transition({ kind: "active", attempt: anAttempt(`task-${i}`) })
    }
    const families = await scrape(metrics)
    const started = families.get("taskora_attempts_started_total")?.samples ?? []
    expect(started).toHaveLength(301)
    expect(started.reduce((sum, s) => sum + s.value, 0)).toBe(100_000)
    expect(seriesCount(families)).toBeLessThan(301 * 60)
    const overflows = (instrument: string) =>
      seriesValue(families, "taskora_series_overflows_total", { instrument })
    expect(overflows("taskora.attempts.started")).toBe(99_700)
    expect(overflows("taskora.job.wait.duration")).toBe(99_700)
  })

  test("100,000 classes of errors stay within 900 pairs", async () => {
    const { metrics } = observed()
    for (let i = 0; i < 100_000; i++) metrics.transition(failed(`t${i % 10}`, `Error${i}`))
    const families = await scrape(metrics)
    const samples = families.get("taskora_attempts_failed_total")?.samples ?? []
    // 900 pairs and one `_OTHER` per task, each for both values of will_retry.
    expect(samples).toHaveLength((900 + 10) * 2)
    expect(samples.reduce((sum, s) => sum + s.value, 0)).toBe(100_000)
    const lost = { instrument: "taskora.attempts.failed" }
    expect(seriesValue(families, "taskora_series_overflows_total", lost)).toBe(99_100)
  })

  test.each(["", "not a class", "a".repeat(65), 'x"y', "é", "1Error", "Error\n"])(
    "%j is no name of a class",
    async (errorType) => {
      const { metrics } = observed()
      metrics.transition(failed("t", errorType))
      const labels = { task: "t", error_type: "_OTHER", will_retry: "true" }
      expect(seriesValue(await scrape(metrics), "taskora_attempts_failed_total", labels)).toBe(1)
    },
  )

  test("scripts and observers have limits too", async () => {
    const { metrics } = observed()
    for (let i = 0; i < 1000; i++) {
      metrics.transition({ kind: "observer error", observer: `o${i}` })
      await metrics.storeCall({ script: `s${i}`, blocking: false }, async () => i)
    }
    const families = await scrape(metrics)
    expect(families.get("taskora_observer_errors_total")?.samples.length).toBeLessThan(100)
    expect(seriesCount(families)).toBeLessThan(5000)
  })
})

describe("store calls", () => {
  test("are timed by script, also those that fail", async () => {
    const { metrics, source } = observed()
    const call = { script: "settle", blocking: false }
    const answer = await metrics.storeCall(call, async () => {
      source.monotonicMs += 30
      return "done"
    })
    expect(answer).toBe("done")
    const failure = metrics.storeCall(call, async () => {
      source.monotonicMs += 10
      throw new Error("gone")
    })
    await expect(failure).rejects.toThrow("gone")
    const families = await scrape(metrics)
    const labels = { script: "settle" }
    expect(seriesValue(families, "taskora_store_call_duration_seconds_count", labels)).toBe(2)
    expect(seriesValue(families, "taskora_store_call_duration_seconds_sum", labels)).toBeCloseTo(0.04)
  })

  test("that wait for work are left out", async () => {
    const { metrics } = observed()
    await metrics.storeCall({ script: "wait", blocking: true }, async () => undefined)
    expect((await scrape(metrics)).has("taskora_store_call_duration_seconds")).toBe(false)
  })
})

test("objectives judge claims, completed attempts and ends, but no cancellation", async () => {
  const { metrics, source } = observed()
  source.declare("t", {
    objectives: {
      success: 0.999,
      wait: { withinMs: 100, target: 0.99 },
      duration: { withinMs: 50, target: 0.95 },
    },
  })
  const attempt = anAttempt("t", { waitMs: 101 })
  metrics.transition({ kind: "active", attempt })
  metrics.transition({ kind: "active", attempt: anAttempt("t", { waitMs: 100 }) })
  metrics.transition({ kind: "completed", attempt, durationMs: 50, totalMs: 1, resultBytes: 1 })
  metrics.transition({ kind: "completed", attempt, durationMs: 51, totalMs: 1, resultBytes: 1 })
  metrics.transition({ kind: "cancelled", attempt, durationMs: 51, totalMs: 1 })
  metrics.transition(failed("t", "Error"))
  metrics.transition({ ...failed("t", "Error"), willRetry: false } as Transition)
  const families = await scrape(metrics)
  const read = (series: string, objective: string) => seriesValue(families, series, { task: "t", objective })
  const counts = (objective: string) => [
    read("taskora_objective_events_total", objective),
    read("taskora_objective_breaches_total", objective),
  ]
  expect(counts("wait")).toEqual([2, 1])
  expect(counts("duration")).toEqual([2, 1])
  expect(counts("success")).toEqual([3, 1])
  expect(read("taskora_objective_target_ratio", "success")).toBe(0.999)
  expect(read("taskora_objective_target_ratio", "duration")).toBe(0.95)
  expect(read("taskora_objective_threshold_seconds", "wait")).toBe(0.1)
  expect(read("taskora_objective_threshold_seconds", "success")).toBeUndefined()
})

describe("gauges", () => {
  test("tell the queue, the slots, the tasks and the build", async () => {
    const { metrics, source } = observed()
    source.declare("t", { owner: "team-a", runbook: "https://example.com/t" })
    source.slotUse = [{ task: "t", busy: 1, idle: 2, abandoned: 3 }]
    const transitions = { ...aQueue("t").transitions, completed: 42 }
    source.snapshot = {
      at: 0,
      workers: 4,
      tasks: [aQueue("t", { waiting: 5, delayed: 6, active: 7, oldestAt: 1500, workers: 2, transitions })],
    }
    const families = await scrape(metrics)
    const read = (series: string, labels = {}) => seriesValue(families, series, labels)
    expect(read("taskora_queue_jobs", { task: "t", state: "waiting" })).toBe(5)
    expect(read("taskora_queue_jobs", { task: "t", state: "delayed" })).toBe(6)
    expect(read("taskora_queue_jobs", { task: "t", state: "active" })).toBe(7)
    expect(read("taskora_queue_oldest_timestamp_seconds", { task: "t" })).toBe(1.5)
    expect(read("taskora_workers")).toBe(4)
    expect(read("taskora_task_workers", { task: "t" })).toBe(2)
    expect(read("taskora_cluster_transitions_total", { task: "t", transition: "completed" })).toBe(42)
    expect(read("taskora_cluster_transitions_total", { task: "t", transition: "started" })).toBe(0)
    expect(read("taskora_worker_slots", { task: "t", state: "abandoned" })).toBe(3)
    expect(read("taskora_store_up")).toBe(1)
    const info = { task: "t", owner: "team-a", runbook: "https://example.com/t" }
    expect(read("taskora_task_info", info)).toBe(1)
    expect(read("taskora_build_info", { version: "1.2.3", adapter: "memory" })).toBe(1)
    expect(read("taskora_worker_start_timestamp_seconds")).toBeUndefined()
  })

  test("of tasks without a label of their own are put together", async () => {
    const { metrics, source } = observed({ taskLimit: 1 })
    source.declare("t")
    const rest = { waiting: 5, workers: 2 }
    source.snapshot = {
      at: 0,
      workers: 1,
      tasks: [aQueue("t"), aQueue("u", { ...rest, oldestAt: 2000 }), aQueue("v", { ...rest, oldestAt: 0 })],
    }
    const families = await scrape(metrics)
    const labels = { task: "_OTHER" }
    expect(seriesValue(families, "taskora_queue_jobs", { ...labels, state: "waiting" })).toBe(10)
    expect(seriesValue(families, "taskora_task_workers", labels)).toBe(2)
    expect(seriesValue(families, "taskora_queue_oldest_timestamp_seconds", labels)).toBe(2)
  })

  test("of tasks that only other processes declare come without counters of ours", async () => {
    const { metrics, source } = observed({ taskLimit: 2 })
    source.declare("own")
    source.snapshot = {
      at: 0,
      workers: 0,
      tasks: ["a", "b", "own"].map((task) => aQueue(task, { active: 1 })),
    }
    await scrape(metrics)
    source.declare("later")
    const families = await scrape(metrics)
    const tasks = (family: string) => families.get(family)?.samples.map((s) => s.labels.task)
    expect(new Set(tasks("taskora_queue_jobs"))).toEqual(new Set(["a", "own", "_OTHER"]))
    expect(tasks("taskora_jobs_completed_total")).toEqual(["own", "later"])
  })

  test("of the cluster are absent while the store does not answer; everything else is there", async () => {
    const { metrics, source } = observed()
    source.declare("t")
    source.snapshot = undefined
    const families = await scrape(metrics)
    expect(seriesValue(families, "taskora_store_up")).toBe(0)
    for (const instrument of instruments) {
      if (instrument.cluster) expect(families.has(prometheusName(instrument)), instrument.name).toBe(false)
    }
    expect(families.has("taskora_attempts_started_total")).toBe(true)
  })

  test("of the cluster can be left to an exporter", async () => {
    const { metrics, source } = observed({ queueGauges: false })
    source.isConnected = false
    const families = await scrape(metrics)
    expect(source.waits).toEqual([])
    expect(families.has("taskora_workers")).toBe(false)
    expect(seriesValue(families, "taskora_store_up")).toBe(0)
  })
})

test("a binding with histograms of its own hears of every record", () => {
  const { metrics, source } = observed()
  const heard: string[] = []
  const stop = measure(source).onRecord((histogram, value, times) => {
    heard.push(`${histogram.family.instrument.name} ${histogram.values.join()} ${value} ${times}`)
  })
  metrics.transition(active)
  metrics.transition({ kind: "delivered", task: "t", count: 3, lagMs: 1000 })
  stop()
  metrics.transition(active)
  expect(heard).toEqual(["taskora.job.wait.duration t 0.02 1", "taskora.events.lag  1 3"])
})
