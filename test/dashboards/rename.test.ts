import { afterEach, beforeEach, expect, test, vi } from "vitest"

const folder = "../../exporters/catalogue"
/** One instrument of each kind, and what it is called from now on. */
const renamed = {
  "taskora.jobs.stalled": "taskora.jobs.stuck",
  "taskora.store.up": "taskora.store.alive",
  "taskora.stall.recovery.duration": "taskora.stall.repair.duration",
}
const newNames: Readonly<Record<string, string>> = renamed

function rename<T extends Readonly<Record<string, { readonly name: string }>>>(instruments: T): T {
  return Object.fromEntries(
    Object.entries(instruments).map(([key, i]) => [key, { ...i, name: newNames[i.name] ?? i.name }]),
  ) as T
}

beforeEach(() => {
  vi.resetModules()
})
afterEach(() => {
  vi.doUnmock(`${folder}/counters.ts`)
  vi.doUnmock(`${folder}/gauges.ts`)
  vi.doUnmock(`${folder}/histograms.ts`)
})

async function generate(): Promise<ReadonlyMap<string, string>> {
  const { generatedFiles } = await import("../../dashboards/files.ts")
  const { renderMetricsReference } = await import("../../exporters/reference.ts")
  return new Map([...generatedFiles(), ["docs/metrics.md", renderMetricsReference()]])
}

function withName(files: ReadonlyMap<string, string>, name: string): string[] {
  return [...files].filter(([, text]) => text.includes(name)).map(([path]) => path)
}

test("a new name in the catalogue is a new name in dashboards, rules, scenarios and pages", async () => {
  const before = await generate()
  vi.resetModules()
  vi.doMock(`${folder}/counters.ts`, async (original) => {
    const { counters } = await original<typeof import("../../exporters/catalogue/counters.ts")>()
    return { counters: rename(counters) }
  })
  vi.doMock(`${folder}/gauges.ts`, async (original) => {
    const module = await original<typeof import("../../exporters/catalogue/gauges.ts")>()
    return { ...module, gauges: rename(module.gauges) }
  })
  vi.doMock(`${folder}/histograms.ts`, async (original) => {
    const { histograms } = await original<typeof import("../../exporters/catalogue/histograms.ts")>()
    return { histograms: rename(histograms) }
  })
  const after = await generate()
  const touched = new Set<string>()
  for (const [from, to] of Object.entries(renamed)) {
    const [old, now] = [from.replaceAll(".", "_"), to.replaceAll(".", "_")]
    expect(withName(before, old)).not.toEqual([])
    expect(withName(after, old)).toEqual([])
    expect(withName(after, now)).toEqual(withName(before, old))
    for (const path of withName(after, now)) touched.add(path)
  }
  expect([...touched].sort()).toEqual([
    "dashboards/grafana/taskora-flow.json",
    "dashboards/grafana/taskora-overview.json",
    "dashboards/grafana/taskora-task.json",
    "dashboards/grafana/taskora-workers.json",
    "dashboards/prometheus/taskora.alerts.yml",
    "dashboards/prometheus/tests/taskora.tests.yml",
    "docs/alerts.md",
    "docs/metrics.md",
  ])
})
