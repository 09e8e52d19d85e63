import { spawnSync } from "node:child_process"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { instruments, prometheusName } from "../../exporters/catalogue.ts"
import type { Prometheus } from "../../exporters/prometheus.ts"
import type { Transition } from "../../src/model/observer.ts"
import { aDispatch, anAttempt, aQueue } from "../support/fake-source.ts"
import { findProgram, PrometheusServer } from "../support/prometheus-server.ts"
import { observed, openmetrics } from "../support/scrape.ts"

const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }

/** An app in which every instrument has a series. */
function eventful(): Prometheus {
  const { metrics, source } = observed()
  const goal = { withinMs: 100, target: 0.99 }
  source.declare("t", {
    owner: "team",
    runbook: "https://example.com",
    objectives: { success: 0.9, wait: goal, duration: goal },
  })
  source.schedule("s", 1_700_000_200_000)
  source.slotUse = [{ task: "t", busy: 1, idle: 0, abandoned: 0 }]
  source.snapshot = {
    at: 0,
    workers: 2,
    workflows: 1,
    tasks: [aQueue("t", { waiting: 3, oldestAt: 1000, workers: 1 })],
  }
  const attempt = anAttempt("t", { trace })
  const failure = { attempt, durationMs: 1, cause: "error", errorType: "Error", error: 0 } as const
  const transitions: Transition[] = [
    { kind: "worker ready", tasks: ["t"] },
    { kind: "dispatched", dispatch: aDispatch("t"), stored: 1, duplicates: 0, payloadBytes: [500] },
    { kind: "active", attempt },
    { kind: "failed", ...failure, willRetry: false, totalMs: 5 },
    { kind: "completed", attempt, durationMs: 12.5, totalMs: 60, resultBytes: 7 },
    { kind: "delivered", task: "t", count: 1, lagMs: 1 },
    { kind: "workflow ended", id: "w", name: "nightly", outcome: "completed", headers: {}, durationMs: 9 },
    { kind: "schedule fired", schedule: "s", task: "t", id: "j", slot: 1_700_000_100_000, lateMs: 2 },
    {
      kind: "stalled",
      task: "t",
      id: "j",
      action: "recovered",
      count: 1,
      attempt: 1,
      headers: {},
      recoveryMs: 5,
      totalMs: 9,
    },
  ]
  for (const transition of transitions) metrics.transition(transition)
  void metrics.storeCall({ script: "settle", blocking: false }, async () => undefined)
  return metrics
}

const prometheusProgram = findProgram(["prometheus"], "--version")
const promtool = findProgram(["promtool"], "--version")
// A distribution packages the parser for its own python3, which need not be the first in the path.
const python = findProgram(["python3", "/usr/bin/python3"], "-c", "import prometheus_client")

describe.skipIf(!prometheusProgram)("a real Prometheus", () => {
  let server: PrometheusServer
  let pods: Prometheus[]

  beforeAll(async () => {
    pods = [eventful(), eventful()]
    for (const pod of pods) await pod.open()
    server = await PrometheusServer.start(pods.map((pod) => pod.port!))
  }, 30_000)
  afterAll(async () => {
    await server?.stop()
    for (const pod of pods) await pod.close()
  })

  test("scrapes without an error", async () => {
    type Targets = { activeTargets: { health: string; lastError: string }[] }
    const { activeTargets } = await server.ask<Targets>("targets", ({ activeTargets: targets }) =>
      targets.every((target) => target.health !== "unknown"),
    )
    expect(activeTargets.map((target) => `${target.health} ${target.lastError}`)).toEqual(["up ", "up "])
  }, 30_000)

  test("knows every instrument by its name", async () => {
    for (const instrument of instruments) {
      const name = prometheusName(instrument)
      const series = instrument.kind === "histogram" ? `${name}_count` : name
      expect(await server.query(`count(${series})`), name).toBeGreaterThanOrEqual(2)
    }
  }, 60_000)

  test("adds up the pods, and takes the cluster's facts once", async () => {
    expect(await server.query("sum(taskora_jobs_completed_total)")).toBe(2)
    expect(await server.query('max by (task) (taskora_queue_jobs{task="t",state="waiting"})')).toBe(3)
    expect(
      await server.query("sum(taskora_job_duration_seconds_bucket{le='+Inf',outcome='completed'})"),
    ).toBe(2)
    expect(
      await server.query("histogram_quantile(0.5, sum by (le) (taskora_job_wait_duration_seconds_bucket))"),
    ).toBeCloseTo(0.0175)
  }, 30_000)

  test("keeps the exemplars", async () => {
    const query = "query_exemplars?query=taskora_job_duration_seconds_bucket&start=1600000000&end=1900000000"
    type Exemplars = { exemplars: { labels: Record<string, string> }[] }[]
    const found = await server.ask<Exemplars>(query, (data) => data.length > 0)
    expect(found[0]?.exemplars[0]?.labels).toEqual({ trace_id: trace.traceId, span_id: trace.spanId })
  }, 30_000)
})

test.skipIf(!promtool)("promtool has nothing to say about our metrics", async () => {
  const { body } = await eventful().render()
  const { status, stderr, stdout } = spawnSync(promtool ?? "", ["check", "metrics"], {
    input: body,
    encoding: "utf8",
  })
  // The runtime's names are OpenTelemetry's conventions, not ours to better.
  const remarks = `${stdout}${stderr}`
    .split("\n")
    .filter((line) => line !== "" && !/^(nodejs|v8js)_/.test(line))
  expect({ remarks, crashed: status === null }).toEqual({ remarks: [], crashed: false })
})

const parse = {
  text: "from prometheus_client.parser import text_string_to_metric_families as parse",
  openmetrics: "from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse",
}

describe.skipIf(!python)("Python's prometheus_client", () => {
  test.each(["text", "openmetrics"] as const)("reads our %s", async (format) => {
    const metrics = eventful()
    const { body } = await metrics.render(format === "openmetrics" ? openmetrics : undefined)
    const script = `import sys
${parse[format]}
for family in parse(sys.stdin.read()):
    print(family.name, family.type, family.unit or "-", len(family.samples))`
    const { stdout, stderr } = spawnSync(python ?? "", ["-c", script], { input: body, encoding: "utf8" })
    expect(stderr).toBe("")
    expect(stdout).toContain("taskora_jobs_completed counter - 1\n")
    const unit = format === "openmetrics" ? "seconds" : "-"
    expect(stdout).toContain(`taskora_job_duration_seconds histogram ${unit} 42\n`)
    const own = instruments.filter((i) => i.name.startsWith("taskora."))
    expect(stdout.match(/^taskora_/gm)).toHaveLength(own.length)
  })

  test("reads prom-client's default metrics in our OpenMetrics", async () => {
    const { body } = await observed({ defaultMetrics: true }).metrics.render(openmetrics)
    const script = `import sys\n${parse.openmetrics}\nprint(len(list(parse(sys.stdin.read()))))`
    const { stdout, stderr } = spawnSync(python ?? "", ["-c", script], { input: body, encoding: "utf8" })
    expect(stderr).toBe("")
    expect(Number(stdout)).toBeGreaterThan(20)
  })
})
