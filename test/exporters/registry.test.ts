import { execFileSync } from "node:child_process"
import { Counter, Registry } from "prom-client"
import { expect, test } from "vitest"
import { prometheus } from "../../exporters/prometheus.ts"
import { type Family, parseExposition, seriesValue } from "../support/exposition.ts"
import { anAttempt, aQueue } from "../support/fake-source.ts"
import { observed, openmetrics, scrape } from "../support/scrape.ts"

function busy() {
  const app = observed({ labels: { region: "eu" } })
  app.source.declare("t", { owner: "a" })
  app.source.snapshot = { at: 0, workers: 1, tasks: [aQueue("t", { waiting: 3 })] }
  const attempt = anAttempt("t")
  app.metrics.transition({ kind: "active", attempt })
  app.metrics.transition({ kind: "completed", attempt, durationMs: 12.5, totalMs: 60, resultBytes: 7 })
  return app
}

/** prom-client writes its text with blank lines between families, and families without samples. */
function parsePromClient(text: string): Map<string, Family> {
  const families = text.split("\n\n").filter((block) => block.trimEnd().split("\n").length > 2)
  return parseExposition(`${families.map((f) => f.trimEnd()).join("\n")}\n`, "text")
}

function series(families: ReadonlyMap<string, Family>): string[] {
  return [...families.values()]
    .filter((family) => !/^(nodejs|v8js)_/.test(family.name))
    .flatMap((family) => family.samples)
    .map(({ name, labels, value }) => `${name}${JSON.stringify(Object.entries(labels).sort())} ${value}`)
    .sort()
}

test("the registry shows what the endpoint shows", async () => {
  const { metrics } = busy()
  expect(series(parsePromClient(await metrics.registry.metrics()))).toEqual(series(await scrape(metrics)))
})

test("the registry keeps its names when formats alternate", async () => {
  const { metrics } = busy()
  const { registry } = metrics
  const before = series(parsePromClient(await registry.metrics()))
  // Its type fixes the format for life; its users change it all the same.
  const changeable: { setContentType(type: string): void } = registry as Registry<never>
  changeable.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const open = await registry.metrics()
  expect(open).toContain('taskora_jobs_completed_total{region="eu",task="t"} 1')
  expect(open).toContain("# TYPE taskora_jobs_completed counter")
  changeable.setContentType(Registry.PROMETHEUS_CONTENT_TYPE)
  expect(series(parsePromClient(await registry.metrics()))).toEqual(before)
})

test("the registry merges with a user's own, and cannot be reset", async () => {
  const { metrics } = busy()
  const own = new Registry()
  new Counter({ name: "orders_total", help: "Orders.", registers: [own] }).inc(2)
  const merged = Registry.merge([own, metrics.registry])
  merged.resetMetrics()
  const families = parsePromClient(await merged.metrics())
  expect(families.has("orders_total")).toBe(true)
  const labels = { task: "t", region: "eu" }
  expect(seriesValue(families, "taskora_jobs_completed_total", labels)).toBe(1)
})

test("prom-client's default metrics are served in both formats when asked for", async () => {
  const { metrics } = observed({ defaultMetrics: true })
  for (let i = 0; i < 2; i++) {
    const text = await scrape(metrics)
    expect(seriesValue(text, "process_cpu_seconds_total")).toBeGreaterThanOrEqual(0)
    const open = await scrape(metrics, "openmetrics")
    expect(open.get("process_cpu_seconds")?.type).toBe("counter")
    expect(open.has("nodejs_version_info")).toBe(true)
  }
  expect(await metrics.registry.metrics()).toContain("process_cpu_seconds_total")
})

test("the endpoint needs no prom-client", async () => {
  const { metrics } = observed()
  expect((await metrics.render(openmetrics)).body).not.toContain("process_cpu")
  expect(prometheus().port).toBeUndefined()
  // No static import leads to it: what only types need is erased.
  const imports = execFileSync("grep", ["-rnE", "^import .*prom-client", "exporters"], { encoding: "utf8" })
  for (const line of imports.trim().split("\n")) expect(line).toContain("import type")
})
