import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as schema from "@grafana/grafana-foundation-sdk/dashboard"
import { describe, expect, test } from "vitest"
import { uids } from "../../dashboards/uids.ts"
import {
  counters,
  histograms,
  type Instrument,
  instruments,
  prometheusLabel,
  prometheusName,
} from "../../exporters/catalogue.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { dashboards, type Loaded, substitute, targets } from "./dashboards.ts"

/** The rules of Grafana's dashboard linter, and those of our own. */
const promtool = findProgram(["promtool"], "--version")
const variable = `\${datasource}`

const bySeries = new Map<string, Instrument>(
  instruments.flatMap((i): [string, Instrument][] => {
    const name = prometheusName(i)
    return i.kind === "histogram"
      ? ["_bucket", "_sum", "_count"].map((part) => [`${name}${part}`, i])
      : [[name, i]]
  }),
)
const ofTarget = ["job", "instance", "prefix", "le"]

/** `name{matchers}`, what stands before it, and the range after it. */
const selector = /(\w+\()?\b((?:taskora|nodejs|v8js)_\w+)(?:\{([^}]*)\})?(?:\[([^\]]+)\])?/g

interface Selected {
  readonly fn: string | undefined
  readonly series: string
  readonly matchers: readonly string[]
  readonly range: string | undefined
}

function selectors(expr: string): Selected[] {
  return [...expr.matchAll(selector)].map(([, fn, series, matchers, range]) => ({
    fn: fn?.slice(0, -1),
    series: series!,
    matchers: (matchers ?? "").split(/,\s*/).filter((text) => text !== ""),
    range,
  }))
}

function labelsOf(series: string): string[] {
  const instrument = bySeries.get(series)
  return [...(instrument?.attributes ?? []).map((a) => prometheusLabel(a.name)), ...ofTarget]
}

test("there are four dashboards, with many queries", () => {
  expect(dashboards.map(({ json }) => json.uid).sort()).toEqual(Object.values(uids).sort())
  expect(targets.length).toBeGreaterThan(80)
  expect(targets.flatMap(({ expr }) => selectors(expr)).length).toBeGreaterThan(targets.length)
})

describe("every query", () => {
  const asked = targets.map(({ name, expr }) => ({ name, expr, selected: selectors(expr) }))

  test("reads series of the catalogue, of the chosen jobs, instances, prefixes and tasks", () => {
    for (const { name, selected } of asked) {
      expect(selected, name).not.toEqual([])
      for (const { series, matchers } of selected) {
        expect(bySeries.has(series), `${name}: ${series}`).toBe(true)
        expect(matchers, name).toEqual(expect.arrayContaining(['job=~"$job"', 'instance=~"$instance"']))
        // The runtime is the process's, whatever apps are in it.
        expect(matchers.includes('prefix=~"$prefix"'), name).toBe(series.startsWith("taskora_"))
        const tasked = labelsOf(series).includes("task")
        expect(
          matchers.some((text) => /^task=~?"\$task"$/.test(text)),
          name,
        ).toBe(tasked)
      }
    }
  })

  test("names labels that the series have", () => {
    for (const { name, expr, selected } of asked) {
      const known = new Set(selected.flatMap(({ series }) => labelsOf(series)))
      for (const { series, matchers } of selected)
        for (const text of matchers) expect(labelsOf(series), name).toContain(/^\w+/.exec(text)?.[0])
      for (const [, labels] of expr.matchAll(/\b(?:by|on|ignoring|without) \(([^)]*)\)/g))
        for (const label of labels!.split(", ")) expect([...known], name).toContain(label)
    }
  })

  test("puts counters under rate or increase, and nothing else", () => {
    for (const { name, selected } of asked)
      for (const { series, fn, range } of selected) {
        const counts = bySeries.get(series)?.kind !== "gauge"
        expect(["rate", "increase"].includes(fn ?? ""), `${name}: ${series}`).toBe(counts)
        expect(range !== undefined, `${name}: ${series}`).toBe(counts)
      }
  })

  test("takes its window from Grafana", () => {
    for (const { name, selected } of asked)
      for (const { fn, range } of selected) {
        if (fn === "rate") expect(range, name).toBe("$__rate_interval")
        if (fn === "increase") expect(["$__rate_interval", "$__range"], name).toContain(range)
      }
  })

  test("takes facts about the cluster once, and adds up those of processes", () => {
    for (const { name, expr, selected } of asked)
      for (const { series } of selected) {
        const instrument = bySeries.get(series)!
        const before = String.raw`(\w+)(?: by \([^)]*\))? \((?:rate\(|increase\()?${series}\b`
        const outer = new RegExp(before).exec(expr.replaceAll(/\b(sum|max|min)\(/g, "$1 ("))?.[1]
        expect(["sum", "max", "min"], name).toContain(outer)
        if (instrument.cluster) expect(outer, name).toBe("max")
        else if (instrument.kind !== "gauge") expect(outer, name).toBe("sum")
      }
  })
})

test.skipIf(!promtool)("every query is valid PromQL with the variables filled in", () => {
  const directory = mkdtempSync(join(tmpdir(), "taskora-queries-"))
  const check = (exprs: readonly string[]) => {
    const rules = exprs.map((expr, i) => ({ record: `query:${i}`, expr }))
    const file = join(directory, "queries.json")
    writeFileSync(file, JSON.stringify({ groups: [{ name: "queries", rules }] }))
    return spawnSync(promtool ?? "", ["check", "rules", file], { encoding: "utf8" })
  }
  const { status, stdout, stderr } = check(targets.map(({ expr }) => substitute(expr)))
  const control = check(["rate(up)"])
  rmSync(directory, { recursive: true })
  expect(stderr).toBe("")
  expect(status).toBe(0)
  expect(stdout).toContain(`${targets.length} rules found`)
  expect(control.status).not.toBe(0)
})

describe.each(dashboards)("$file", ({ file, json, panels }: Loaded) => {
  const list = json.templating.list ?? []
  const byName = new Map(list.map((v) => [v.name, v]))

  test("is called by its uid, has no id of one server, and can only be looked at", () => {
    expect(file).toBe(`${json.uid}.json`)
    expect(json.uid).toMatch(/^[\w-]{8,40}$/)
    expect(json).not.toHaveProperty("id")
    expect(json.editable).toBe(false)
    expect(json.schemaVersion).toBe(42)
    expect(json.tags).toEqual(["taskora"])
    expect(json.graphTooltip).toBe(schema.DashboardCursorSync.Crosshair)
    expect(json.description).not.toBe("")
  })

  test("has the variables that all dashboards have", () => {
    expect(list.map((v) => v.name)).toEqual(["datasource", "job", "instance", "prefix", "task"])
    expect(byName.get("datasource")).toMatchObject({
      type: "datasource",
      query: "prometheus",
      label: "Data source",
    })
    for (const [name, label] of [
      ["job", "Job"],
      ["instance", "Instance"],
    ])
      expect(byName.get(name!)).toMatchObject({
        type: "query",
        label,
        multi: true,
        includeAll: true,
        allValue: ".+",
        datasource: { uid: variable },
      })
    for (const { type, refresh, query } of list) {
      if (type !== "query") continue
      expect(refresh).toBe(schema.VariableRefresh.OnTimeRangeChanged)
      const { query: text } = query as { query: string }
      const named = [...text.matchAll(/(?:taskora|nodejs|v8js)_\w+/g)].map(([name]) => name)
      expect(named.length).toBeGreaterThan(0)
      expect(named.filter((name) => !bySeries.has(name))).toEqual([])
    }
    // A task's name has dots, so a choice of one must not be read as a pattern.
    const one = json.uid === uids.task
    expect(byName.get("task")?.multi).toBe(!one)
    for (const { targets: asked } of panels)
      for (const { expr } of asked) expect(expr.includes(one ? 'task=~"$task"' : 'task="$task"')).toBe(false)
  })

  test("asks the chosen data source only", () => {
    for (const panel of panels) {
      expect(panel.datasource).toEqual({ type: "prometheus", uid: variable })
      for (const target of panel.targets)
        expect(target.datasource).toEqual({ type: "prometheus", uid: variable })
    }
    const named = [...JSON.stringify(json).matchAll(/"uid":"([^"]+)"/g)].map(([, uid]) => uid)
    expect(new Set(named)).toEqual(new Set([variable, json.uid]))
  })

  test("every panel has a title, a description that says something, a unit, and a query", () => {
    const titles = panels.map(({ title }) => title)
    expect(new Set(titles).size).toBe(titles.length)
    for (const { title, description, fieldConfig, targets: asked } of panels) {
      expect(title).toMatch(/^[A-Z]/)
      expect(description?.length, title).toBeGreaterThan(20)
      expect(description, title).toMatch(/\.$/)
      expect(fieldConfig?.defaults.unit, title).toMatch(/^(ops|short|s|percentunit|bytes|none)$/)
      expect(asked.map(({ refId }) => refId)).toEqual(asked.map((_, i) => String.fromCharCode(65 + i)))
      for (const { legendFormat } of asked) expect(legendFormat, title).toBeTruthy()
    }
  })

  test("shows times in seconds, shares in percent, rates per second", () => {
    for (const { title, fieldConfig, targets: asked } of panels)
      for (const { expr } of asked) {
        const unit = fieldConfig?.defaults.unit
        if (/^count\(/.test(expr)) expect(unit, title).toBe("short")
        else if (/histogram_quantile.*_seconds_bucket|^time\(\)|_seconds\b(?!_)/.test(expr))
          expect(unit, title).toBe("s")
        if (/_bytes/.test(expr)) expect(unit, title).toBe("bytes")
        if (/^sum(?: by \(\w+\))? \(?rate\(/.test(expr)) expect(unit, title).toBe("ops")
      }
  })

  test("every stat has colours, from a base on, rising", () => {
    const stats = panels.filter(({ type }) => type === "stat")
    expect(stats.length).toBeGreaterThan(7)
    for (const { title, fieldConfig } of stats) {
      const steps = fieldConfig?.defaults.thresholds?.steps ?? []
      expect(steps.length, title).toBeGreaterThan(0)
      expect(steps[0]?.value, title).toBeNull()
      const values = steps.slice(1).map(({ value }) => value ?? Number.NaN)
      expect(values).toEqual([...values].sort((a, b) => a - b))
    }
  })

  test("answers in its first row", () => {
    const top = panels.filter(({ gridPos }) => gridPos?.y === 1)
    expect(top.map(({ type }) => type)).toEqual(Array(8).fill("stat"))
  })

  test("panels have ids of their own, and lie side by side on 24 columns", () => {
    const all = json.panels ?? []
    expect(all.map(({ id }) => id)).toEqual(all.map((_, i) => i + 1))
    const taken = new Set<string>()
    for (const { gridPos, title } of all) {
      const { x, y, w, h } = gridPos!
      expect(x + w, title).toBeLessThanOrEqual(24)
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0)
      expect(Math.min(w, h)).toBeGreaterThan(0)
      for (let column = x; column < x + w; column++)
        for (let line = y; line < y + h; line++) {
          const cell = `${column},${line}`
          expect(taken.has(cell), `${title} lies on another panel`).toBe(false)
          taken.add(cell)
        }
    }
  })

  test("leads to the others, and each row of its tables to the task", () => {
    const others = Object.values(uids).filter((uid) => uid !== json.uid)
    expect((json.links ?? []).map(({ url }) => url)).toEqual(others.map((uid) => `/d/${uid}`))
    for (const link of json.links ?? []) {
      expect(link).toMatchObject({ includeVars: true, keepTime: true })
      expect(link).not.toHaveProperty("placement")
    }
    for (const { type, fieldConfig } of panels) {
      if (type !== "table") continue
      const links = fieldConfig?.overrides
        .find(({ matcher }) => matcher.options === "task")
        ?.properties.find(({ id }) => id === "links")?.value as { url: string }[]
      expect(links[0]?.url).toContain(`/d/${uids.task}?var-task=\${__data.fields.task}&`)
    }
  })

  test("has the shape of Grafana's schema", () => {
    const known = { ...schema.defaultDashboard(), ...extra.dashboard }
    expect(Object.keys(json).filter((key) => !(key in known))).toEqual([])
    for (const panel of json.panels ?? []) {
      const allowed = panel.type === "row" ? schema.defaultRowPanel() : extra.panel
      const own = Object.keys(panel).filter(
        (key) => key !== "gridPos" && key !== "title" && !(key in allowed),
      )
      expect(own).toEqual([])
    }
    for (const { name, ...rest } of list) {
      const allowed = { ...schema.defaultVariableModel(), ...extra.variable }
      expect(
        Object.keys(rest).filter((key) => !(key in allowed)),
        name,
      ).toEqual([])
    }
    for (const { fieldConfig, type } of panels) {
      expect(Object.keys(fieldConfig ?? {})).toEqual(["defaults", "overrides"])
      expect(["stat", "timeseries", "heatmap", "table"]).toContain(type)
    }
  })
})

/** The optional keys, which must be keys of the schema's types. */
const extra: {
  readonly dashboard: { readonly [K in keyof schema.Dashboard]?: true }
  readonly panel: { readonly [K in keyof schema.Panel]?: true }
  readonly variable: { readonly [K in keyof schema.VariableModel]?: true }
} = {
  dashboard: {
    uid: true,
    title: true,
    description: true,
    tags: true,
    time: true,
    refresh: true,
    panels: true,
    links: true,
  },
  panel: {
    type: true,
    id: true,
    transparent: true,
    repeatDirection: true,
    targets: true,
    description: true,
    datasource: true,
    options: true,
    fieldConfig: true,
    transformations: true,
  },
  variable: {
    label: true,
    query: true,
    datasource: true,
    current: true,
    refresh: true,
    sort: true,
    allValue: true,
    definition: true,
    description: true,
  },
}

test("most of what is measured is shown", () => {
  const all = targets.map(({ expr }) => expr).join("\n")
  const shown = (i: Instrument) => all.includes(prometheusName(i))
  expect(Object.values(histograms).filter((i) => !shown(i))).toEqual([])
  const hidden = Object.values(counters).filter((i) => !shown(i))
  // The cluster's own count of these is shown.
  expect(hidden.map(({ name }) => name)).toEqual([
    "taskora.jobs.dispatched",
    "taskora.attempts.started",
    "taskora.attempts.released",
    "taskora.jobs.completed",
    "taskora.jobs.retried",
    "taskora.jobs.revived",
    "taskora.jobs.cancelled",
    // They move before a process' first scrape and after its last; the times of the starts are shown.
    "taskora.worker.starts",
    "taskora.worker.shutdowns",
  ])
})
