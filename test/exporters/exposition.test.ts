import { describe, expect, test } from "vitest"
import { type Family, parseExposition, seriesValue } from "../support/exposition.ts"
import { aDispatch, anAttempt, aQueue, FakeSource } from "../support/fake-source.ts"
import { observed, openmetrics, scrape } from "../support/scrape.ts"

const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }

/** An app in which something of everything happened. */
function busy(options = {}, source = new FakeSource()) {
  const app = observed(options, source)
  source.declare("t", { owner: "a", objectives: { success: 0.9, wait: { withinMs: 5, target: 0.9 } } })
  source.slotUse = [{ task: "t", busy: 1, idle: 0, abandoned: 0 }]
  source.snapshot = { at: 0, workers: 1, tasks: [aQueue("t", { waiting: 3, oldestAt: 1 })] }
  const attempt = anAttempt("t", { trace })
  app.metrics.transition({
    kind: "dispatched",
    dispatch: aDispatch("t"),
    stored: 1,
    duplicates: 0,
    payloadBytes: [1],
  })
  app.metrics.transition({ kind: "active", attempt })
  app.metrics.transition({ kind: "completed", attempt, durationMs: 12.5, totalMs: 60, resultBytes: 7 })
  return app
}

/** Everything but the runtime's numbers, which differ from one moment to the next. */
function series(families: ReadonlyMap<string, Family>): string[] {
  return [...families.values()]
    .filter((family) => !/^(nodejs|v8js)_/.test(family.name))
    .flatMap((family) => family.samples)
    .map(({ name, labels, value }) => `${name}${JSON.stringify(labels)} ${value}`)
}

describe("both formats", () => {
  test("hold the same series, bounds spelled alike, however often they alternate", async () => {
    const { metrics } = busy()
    const text = series(await scrape(metrics))
    expect(text.length).toBeGreaterThan(100)
    for (let i = 0; i < 3; i++) {
      expect(series(await scrape(metrics, "openmetrics"))).toEqual(text)
      expect(series(await scrape(metrics))).toEqual(text)
    }
  })

  test("spell whole bounds as floats", async () => {
    const { metrics } = busy()
    for (const accept of [undefined, openmetrics]) {
      const { body } = await metrics.render(accept)
      const bounds = [...body.matchAll(/_wait_duration_seconds_bucket\{task="t",le="([^"]+)"\}/g)]
      expect(bounds.map((m) => m[1]).join(" ")).toBe(
        "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 300.0 900.0 3600.0 +Inf",
      )
    }
  })

  test("escape what labels may hold", async () => {
    const { metrics, source } = observed({ labels: { site: 'a\\b"c\nd' } })
    const name = 'x"\\\n{}=,# é👍'
    source.declare(name)
    for (const format of ["text", "openmetrics"] as const) {
      const labels = { site: 'a\\b"c\nd', task: name }
      expect(seriesValue(await scrape(metrics, format), "taskora_jobs_completed_total", labels)).toBe(0)
    }
  })

  test("carry the constant labels, and the prefix where there is one", async () => {
    const { metrics } = busy({ labels: { region: "eu" } }, new FakeSource("shop"))
    for (const family of (await scrape(metrics)).values()) {
      for (const sample of family.samples) {
        expect(sample.labels, sample.name).toMatchObject({ region: "eu", prefix: "shop" })
      }
    }
  })

  test("follow changed buckets", async () => {
    const { metrics } = busy({ buckets: { "taskora.job.duration": [0.01, 0.02] } })
    const samples = (await scrape(metrics)).get("taskora_job_duration_seconds")?.samples ?? []
    expect(samples.map((s) => `${s.labels.le} ${s.value}`).slice(0, 3)).toEqual([
      "0.01 0",
      "0.02 1",
      "+Inf 1",
    ])
  })

  test("of tasks declared and gone between two scrapes keep each value with its labels", async () => {
    const { metrics, source } = observed()
    const queues = [aQueue("a", { waiting: 1 }), aQueue("b", { waiting: 2 })]
    const read = async (task: string) =>
      seriesValue(await scrape(metrics), "taskora_queue_jobs", { task, state: "waiting" })
    source.snapshot = { at: 0, workers: 0, tasks: queues }
    expect(await read("b")).toBe(2)
    source.snapshot = { at: 0, workers: 0, tasks: queues.slice(1) }
    expect(await read("b")).toBe(2)
    expect(await read("a")).toBeUndefined()
  })
})

describe("exemplars", () => {
  test("lead from the buckets of duration and wait to the trace, in OpenMetrics", async () => {
    const { metrics } = busy()
    const families = await scrape(metrics, "openmetrics")
    const exemplars = [...families.values()].flatMap(({ samples }) => samples.filter((s) => s.exemplar))
    expect(exemplars.map((s) => `${s.name} ${s.labels.le}`)).toEqual([
      "taskora_job_duration_seconds_bucket 0.025",
      "taskora_job_wait_duration_seconds_bucket 0.025",
    ])
    for (const { exemplar } of exemplars) {
      expect(exemplar).toEqual({ trace_id: trace.traceId, span_id: trace.spanId })
    }
  })

  test("are of sampled traces only, the last of each bucket", async () => {
    const { metrics } = busy()
    const last = { ...trace, spanId: "1111111111111111" }
    metrics.transition({ kind: "active", attempt: anAttempt("t", { trace: last }) })
    const unsampled = { ...trace, spanId: "2222222222222222", sampled: false }
    metrics.transition({ kind: "active", attempt: anAttempt("t", { trace: unsampled }) })
    const { body } = await metrics.render(openmetrics)
    expect(body).toContain(
      `le="0.025"} 3 # {trace_id="${trace.traceId}",span_id="1111111111111111"} 0.02 1700000100.000`,
    )
  })

  test("can be switched off", async () => {
    const { metrics } = busy({ exemplar: false })
    expect((await metrics.render(openmetrics)).body).not.toContain("trace_id")
  })
})

test("units are named in OpenMetrics where the name ends with them", async () => {
  const families = await scrape(busy().metrics, "openmetrics")
  expect(families.get("taskora_job_duration_seconds")?.unit).toBe("seconds")
  expect(families.get("taskora_job_payload_size_bytes")?.unit).toBe("bytes")
  expect(families.get("taskora_objective_target_ratio")?.unit).toBe("ratio")
  expect(families.get("taskora_queue_jobs")?.unit).toBeUndefined()
})

test("the event loop turns while much is rendered", async () => {
  const { metrics, source } = observed({ taskLimit: 1000 })
  for (let i = 0; i < 1000; i++) source.declare(`task-${i}`)
  for (let i = 0; i < 1000; i++) {
    metrics.transition({ kind: "active", attempt: anAttempt(`task-${i}`) })
  }
  let turns = 0
  let rendering = true
  const turn = () => {
    turns += 1
    if (rendering) setImmediate(turn)
  }
  setImmediate(turn)
  const { body } = await metrics.render()
  rendering = false
  expect(turns).toBeGreaterThan(body.length / 1_000_000)
})

test.each([
  ["a series twice", "# HELP a x\n# TYPE a gauge\na 1\na 2\n"],
  ["a stray sample", "# HELP a x\n# TYPE a gauge\nb 1\n"],
  ["an unescaped quote", '# HELP a x\n# TYPE a gauge\na{b="c"d"} 1\n'],
  [
    "a falling bucket",
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
  ],
  [
    "an exemplar",
    '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1 # {t="1"} 1 1.0\na_sum 1\na_count 1\n',
  ],
])("the strict parser refuses %s", (_, text) => {
  expect(() => parseExposition(text, "text")).toThrow()
})
