import { spawnSync } from "node:child_process"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import { type App, createTaskora, type JobHandle } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import { parseExposition, seriesValue } from "../support/exposition.ts"
import { until } from "../support/hosts.ts"
import { findProgram, PrometheusServer } from "../support/prometheus-server.ts"
import { type FaultyProxy, startProxy } from "../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"
import { openmetrics } from "../support/scrape.ts"
import { SpanCollector } from "../support/spans.ts"

const prometheusProgram = findProgram(["prometheus"], "--version")
const promtool = findProgram(["promtool"], "--version")
const python = findProgram(["python3", "/usr/bin/python3"], "-c", "import prometheus_client")

describe("an app that has worked", () => {
  let collector: SpanCollector
  let metrics: Prometheus
  let app: App
  let url: string

  beforeAll(async () => {
    collector = new SpanCollector()
    metrics = prometheus({ port: 0 })
    const adapter = memoryAdapter({ prefix: "shop" })
    app = createTaskora({ adapter, observers: [opentelemetry({ metrics: false }), metrics] })
    app.on("task:failed", () => {})
    const task = app.task("mail", {
      concurrency: 2,
      info: { owner: 'the "mail" team\\', runbook: "https://example.com/runbook" },
      objectives: { success: 0.99 },
      handler: async (fails: boolean) => {
        if (fails) throw new RangeError("no luck")
      },
    })
    const parked = app.task("parked")
    await app.start()
    await Promise.allSettled([false, false, true].map((fails) => task.dispatch(fails).result))
    await parked.dispatch({})
    url = `http://127.0.0.1:${metrics.port}/metrics`
  })
  afterAll(async () => {
    await app.close()
    await collector.stop()
  })

  const scrape = async (accept?: string) =>
    (await fetch(url, accept === undefined ? {} : { headers: { accept } })).text()

  test("shows the same names and values in both formats, however they alternate", async () => {
    let known: string[] | undefined
    for (let round = 0; round < 4; round++) {
      for (const [format, accept] of [["text"], ["openmetrics", openmetrics]] as const) {
        const families = parseExposition(await scrape(accept), format)
        const series = [...families.values()]
          .flatMap((family) => family.samples)
          .filter(({ name }) => name.startsWith("taskora_") && !name.startsWith("taskora_store_call"))
          .map(({ name, labels, value }) => `${name}${JSON.stringify(labels)} ${value}`)
          .sort()
        known ??= series
        expect(series).toEqual(known)
      }
    }
    expect(known).toContainEqual(expect.stringMatching(/^taskora_jobs_completed_total.*"task":"mail".* 2$/))
  })

  test("has exemplars that lead to the spans of its runs, in OpenMetrics alone", async () => {
    const families = parseExposition(await scrape(openmetrics), "openmetrics")
    const runs = collector.finished.filter((span) => span.name.startsWith("process"))
    const positions = runs.map((span) => `${span.spanContext().traceId} ${span.spanContext().spanId}`)
    for (const name of ["taskora_job_duration_seconds", "taskora_job_wait_duration_seconds"]) {
      const exemplars = families.get(name)!.samples.flatMap(({ exemplar }) => (exemplar ? [exemplar] : []))
      expect(exemplars.length).toBeGreaterThan(0)
      for (const { trace_id, span_id } of exemplars) expect(positions).toContain(`${trace_id} ${span_id}`)
    }
    expect(await scrape()).not.toContain("trace_id")
  })

  test.skipIf(!python).each(["text", "openmetrics"])(
    "is read by Python's prometheus_client: %s",
    async (format) => {
      const module = format === "text" ? "prometheus_client.parser" : "prometheus_client.openmetrics.parser"
      const program = [
        "import sys",
        `from ${module} import text_string_to_metric_families as parse`,
        "for family in parse(sys.stdin.read()):",
        "    for s in family.samples:",
        "        if s.name == 'taskora_jobs_completed_total': print(s.labels['task'], int(s.value))",
      ].join("\n")
      const input = await scrape(format === "text" ? undefined : openmetrics)
      const { stdout, stderr } = spawnSync(python ?? "", ["-c", program], { input, encoding: "utf8" })
      expect(stderr).toBe("")
      expect(stdout.trim().split("\n").sort()).toEqual(["mail 2", "parked 0"])
    },
  )

  test.skipIf(!promtool)("gives promtool nothing to remark", async () => {
    const input = await scrape()
    const answer = spawnSync(promtool ?? "", ["check", "metrics"], { input, encoding: "utf8" })
    const remarks = `${answer.stdout}${answer.stderr}`
      .split("\n")
      .filter((line) => line.startsWith("taskora_"))
    expect(remarks).toEqual([])
    expect(answer.status).not.toBeNull()
  })

  test.skipIf(!prometheusProgram)("is scraped by a real Prometheus", async () => {
    const server = await PrometheusServer.start([metrics.port!])
    try {
      expect(await server.query('taskora_jobs_completed_total{task="mail"}')).toBe(2)
      expect(
        await server.query('taskora_attempts_failed_total{error_type="RangeError",will_retry="false"}'),
      ).toBe(1)
      expect(await server.query('taskora_queue_jobs{task="parked",state="waiting"}')).toBe(1)
      expect(
        await server.query('time() - taskora_queue_oldest_timestamp_seconds{task="parked"} < 3600'),
      ).toBeGreaterThan(0)
      expect(
        await server.query('taskora_cluster_transitions_total{transition="completed",task="mail"}'),
      ).toBe(2)
      expect(await server.query("taskora_store_up")).toBe(1)
    } finally {
      await server.stop()
    }
  })
})

describe("the endpoint of an app", () => {
  const opening = {
    "start()": (app: App) => app.start(),
    "listen()": (app: App) => app.listen(),
    "the first dispatch": async (app: App) => void (await app.task("t").dispatch({})),
  }

  test.each(Object.entries(opening))("opens at %s, and closes with the app", async (_, open) => {
    const metrics = prometheus({ port: 0 })
    const app = createTaskora({ adapter: memoryAdapter(), observers: [metrics] })
    expect(metrics.port).toBeUndefined()
    await open(app)
    const url = `http://127.0.0.1:${metrics.port}/healthz`
    expect((await fetch(url)).status).toBe(200)
    await app.close()
    await expect(fetch(url)).rejects.toThrow()
  })

  test("lets start() fail where its port is taken, and say which", async () => {
    const first = prometheus({ port: 0 })
    await first.listen()
    const app = createTaskora({
      adapter: memoryAdapter(),
      observers: [prometheus({ port: first.port! })],
    })
    await expect(app.start()).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${first.port}.*taken.*option "port"`),
    )
    await app.close()
    await first.close()
  })
})

describe("slots", () => {
  test("busy, idle, and held by handlers that outlive their attempt", async () => {
    const metrics = prometheus({ port: false })
    const app = createTaskora({ adapter: memoryAdapter(), observers: [metrics] })
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    app.on("task:failed", () => {})
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const held = app.task("held", { concurrency: 3, handler: () => released })
    const deaf = app.task("deaf", { concurrency: 2, timeout: 20, handler: () => released })
    await app.start()
    const jobs: JobHandle[] = [held.dispatch({}), held.dispatch({}), deaf.dispatch({})]
    await expect(jobs[2]!.result).rejects.toThrow("longer than its timeout")
    const slots = async () => {
      const families = parseExposition((await metrics.render()).body, "text")
      const of = (task: string, state: string) =>
        seriesValue(families, "taskora_worker_slots", { task, state })
      return ["held", "deaf"].map((task) => ["busy", "idle", "abandoned"].map((state) => of(task, state)))
    }
    await until(() => errors.length > 0, "the deaf handler is reported")
    expect(await slots()).toEqual([
      [2, 1, 0],
      [0, 1, 1],
    ])
    release()
    await Promise.all(jobs.slice(0, 2).map((job) => job.result))
    await until(async () => JSON.stringify(await slots()) === "[[0,3,0],[0,2,0]]", "all slots are free")
    await app.close()
  })
})

describe.skipIf(!redisAvailable())("the store away", () => {
  let server: RedisServer
  let proxy: FaultyProxy
  let metrics: Prometheus
  let app: App

  beforeEach(async () => {
    server = await startRedis()
    proxy = await startProxy(server.port)
    metrics = prometheus({ port: 0 })
    app = createTaskora({ adapter: redisAdapter(proxy.url), observers: [metrics] })
    app.on("worker:error", () => {})
    const task = app.task("t", async () => {})
    await app.start()
    await task.dispatch({}).result
  })
  afterEach(async () => {
    await app.close({ timeout: 100 })
    await proxy.stop()
    await server.stop()
  })

  async function scrape() {
    const headers = { "X-Prometheus-Scrape-Timeout-Seconds": "0.4" }
    const response = await fetch(`http://127.0.0.1:${metrics.port}/metrics`, { headers })
    expect(response.status).toBe(200)
    const families = parseExposition(await response.text(), "text")
    const up = seriesValue(families, "taskora_store_up")
    const queue = ["taskora_queue_jobs", "taskora_workers", "taskora_cluster_transitions"]
    const clusterWide = [...families.keys()].filter((name) => queue.some((part) => name.startsWith(part)))
    const own = seriesValue(families, "taskora_jobs_completed_total", { task: "t" })
    return { up, clusterWide: clusterWide.length > 0, own }
  }

  const away = { up: 0, clusterWide: false, own: 1 }
  const there = { up: 1, clusterWide: true, own: 1 }
  const same = (a: object) => async () => JSON.stringify(await scrape()) === JSON.stringify(a)

  test("a server that is gone, and comes back", async () => {
    expect(await scrape()).toEqual(there)
    proxy.refusing = true
    proxy.cut()
    await until(same(away), "the store is seen to be away")
    expect(await scrape()).toEqual(away)
    proxy.refusing = false
    await until(same(there), "the store is back")
  })

  test("a server that is slow: old numbers are not shown for new ones", async () => {
    expect(await scrape()).toEqual(there)
    // What was read a moment ago is good for a second.
    await new Promise((resolve) => setTimeout(resolve, 1050))
    proxy.delayMs = 600
    expect(await scrape()).toEqual(away)
    proxy.delayMs = 0
    await until(same(there), "the store answers in time")
  })

  test("a server that hangs", async () => {
    expect(await scrape()).toEqual(there)
    for (const direction of ["requests", "replies"] as const) proxy.swallowed.add(direction)
    await until(same(away), "the store is seen to be away")
    expect(await scrape()).toEqual(away)
    proxy.swallowed.clear()
    proxy.cut()
    await until(same(there), "the store is back")
  })
})
