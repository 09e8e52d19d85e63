import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { parse } from "yaml"
import { scenarios } from "../../dashboards/rules/scenarios.ts"
import { instruments, prometheusName } from "../../exporters/catalogue.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { root } from "../support/repository.ts"
import { dashboards } from "./dashboards.ts"

interface Rules<R> {
  readonly groups: readonly { readonly rules: readonly R[] }[]
}

interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

const folder = join(root, "dashboards/prometheus")
const read = <R>(name: string) => {
  const { groups } = parse(readFileSync(join(folder, name), "utf8")) as Rules<R>
  return groups.flatMap(({ rules }) => rules)
}
const alerts = read<AlertRule>("taskora.alerts.yml")
const recordings = read<{ readonly record: string; readonly expr: string }>("taskora.rules.yml")
const page = readFileSync(join(root, "docs/alerts.md"), "utf8")
const promtool = findProgram(["promtool"], "--version")

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(promtool ?? "", args, { cwd: folder, encoding: "utf8" })
  return { status, said: `${stdout}${stderr}` }
}

describe.skipIf(!promtool)("promtool", { timeout: 120_000 }, () => {
  test("finds nothing wrong with the rules", () => {
    const { status, said } = run("check", "rules", "taskora.rules.yml", "taskora.alerts.yml")
    expect(said).toContain(`${alerts.length} rules found`)
    expect(said).toContain(`${recordings.length} rules found`)
    expect(status, said).toBe(0)
  })

  test("sees each scenario come out as it should", () => {
    const { status, said } = run("test", "rules", "tests/taskora.tests.yml")
    expect(status, said).toBe(0)
  })
})

test("the scenarios see each alert fire, and end", () => {
  const names = alerts.map(({ alert }) => alert).sort()
  const lived = scenarios.flatMap(({ firing }) => {
    const moments = Object.entries(firing).sort(([a], [b]) => Number(a) - Number(b))
    const last = moments.at(-1)?.[1] ?? []
    return moments.flatMap(([, now]) => now.filter((name) => !last.includes(name)))
  })
  expect([...new Set(lived)].sort()).toEqual(names)
  const quiet = scenarios.filter(({ firing }) => Object.values(firing).every((now) => now.length === 0))
  expect(quiet.map(({ name }) => name)).toEqual(
    expect.arrayContaining([expect.stringContaining("a deploy"), "an idle queue"]),
  )
})

const series = new Map(
  instruments.flatMap((i) => {
    const name = prometheusName(i)
    return ["", "_bucket", "_sum", "_count"].map((part) => [`${name}${part}`, i] as const)
  }),
)
const recorded = new Set(recordings.map(({ record }) => record))

/** Names of series, recorded ones too. */
function named(expr: string): string[] {
  return [...expr.matchAll(/\b(?:\w+:)?taskora_\w+(?::\w+)?/g)].map(([name]) => name)
}

test.each(recordings)(
  "$record is called level:metric:operations, and reads what there is",
  ({ record, expr }) => {
    const [, level, metric] = /^(\w+):(\w+):(\w+)$/.exec(record) ?? []
    expect(series.has(metric ?? "")).toBe(true)
    expect(level).toMatch(/^job_prefix_task(_state|_objective)?$/)
    expect(named(expr).filter((name) => !series.has(name) && !recorded.has(name))).toEqual([])
  },
)

describe.each(alerts)("$alert", ({ alert, expr, for: pending, labels, annotations }) => {
  test("is named, weighed and explained", () => {
    expect(alert).toMatch(/^Taskora[A-Z][A-Za-z]+$/)
    expect(Object.keys(labels)).toEqual(["severity"])
    expect(["critical", "warning", "info"]).toContain(labels.severity)
    expect(pending).toMatch(/^\d+[mh]$/)
    expect(Object.keys(annotations)).toEqual(["summary", "description", "runbook_url"])
    expect(annotations.summary).toContain("{{ $labels.")
    expect(annotations.description).toMatch(/\{\{ \$labels\..*\.$/)
  })

  test("reads what there is, and no class of errors", () => {
    expect(named(expr)).not.toEqual([])
    expect(named(expr).filter((name) => !series.has(name) && !recorded.has(name))).toEqual([])
    expect(expr).not.toContain("error_type")
  })

  test("has a section that says what to do", () => {
    expect(annotations.runbook_url).toBe(`docs/alerts.md#${alert.toLowerCase()}`)
    const section = page.split(/^## /m).find((text) => text.startsWith(`${alert}\n`)) ?? ""
    const [, meaning] = section.split("\n\n")
    expect(meaning?.length).toBeGreaterThan(80)
    expect(section.match(/^\d\. \S/gm)).toHaveLength(3)
    expect(section).toMatch(/```sh\n\S.*\n```/)
    expect(section).toContain(`\`\`\`promql\n${expr}\n\`\`\``)
    const panels = [...section.matchAll(/\*([^*]+)\* on (Overview|Task|Flow|Workers & Redis)/g)]
    expect(panels.length).toBeGreaterThan(0)
    for (const [, title, board] of panels) {
      const on = dashboards.find(({ json }) => json.title === `Taskora / ${board}`)
      expect(on?.panels.map((panel) => panel.title)).toContain(title)
    }
  })

  test("its command asks for metrics that exist", () => {
    const section = page.split(/^## /m).find((text) => text.startsWith(`${alert}\n`)) ?? ""
    const command = /```sh\n(.*)\n```/.exec(section)?.[1] ?? ""
    const unknown = named(command).filter(
      (name) => !series.has(name.replace(/_$/, "")) && !recorded.has(name),
    )
    expect(unknown).toEqual([])
  })
})
