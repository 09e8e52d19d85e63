import type { Field, Panel } from "./board.ts"
import { axisText, clock, draw, escapeHtml, noData } from "./chart.ts"
import { colour, palette, theme } from "./colours.ts"
import type { Box } from "./layout.ts"
import { last, most, type Named, named, type PanelData } from "./panel-data.ts"
import type { Range } from "./prometheus.ts"
import { format } from "./units.ts"

const rowHeight = 20
const narrowestColumn = 360

/** A `timeseries` panel with its legend below: a table of names, last and greatest values. */
export function lines(panel: Panel, data: PanelData, { width, height }: Omit<Box, "left" | "top">): string {
  const series = named(data).filter((one) => last(one) !== undefined)
  if (series.length === 0) return noData
  const field = panel.fieldConfig?.defaults ?? {}
  const legend = new Legend(series, field, { width, rows: Math.floor((height * 0.36) / rowHeight) - 1 })
  const chart = draw(option(series, field, data.range), width, height - legend.height)
  return `${chart}${legend.html()}`
}

function option(series: readonly Named[], field: Field, range: Range) {
  const { unit, min, max, custom = {} } = field
  const limits = custom.thresholdsStyle ? (field.thresholds?.steps ?? []) : []
  const marks = limits.flatMap(({ value, color }) =>
    value === null ? [] : [{ yAxis: value, lineStyle: { color: colour(color), type: "dashed" } }],
  )
  const highest = Math.max(...series.map((one) => most(one) ?? 0).filter(Number.isFinite), 0)
  // A line at 0 lies at the bottom of an axis that has a height.
  const top = max ?? (highest === 0 ? 1 : undefined)
  return {
    grid: { left: 8, right: 34, top: 10, bottom: 4, containLabel: true },
    xAxis: {
      type: "value",
      min: range.from,
      max: range.to,
      splitNumber: 4,
      axisLabel: {
        ...axisText,
        formatter: clock,
        showMinLabel: false,
        showMaxLabel: false,
        hideOverlap: true,
      },
      axisLine: { lineStyle: { color: theme.grid } },
      axisTick: { show: false },
      splitLine: { lineStyle: { color: theme.grid } },
    },
    yAxis: {
      type: "value",
      min,
      max: top,
      ...ticks(unit, top, highest),
      axisLabel: { ...axisText, formatter: (value: number) => format(unit, value) },
      splitLine: { lineStyle: { color: theme.grid } },
    },
    series: series.map((one, i) => ({
      type: "line",
      data: everyStep(one, range),
      ...(custom.stacking?.mode === "normal" ? { stack: "all" } : {}),
      showSymbol: false,
      lineStyle: { width: 1.6, color: colourOf(i) },
      itemStyle: { color: colourOf(i) },
      areaStyle: { color: colourOf(i), opacity: (custom.fillOpacity ?? 0) / 100 },
      ...(i === 0 && marks.length > 0
        ? { markLine: { silent: true, symbol: "none", label: { show: false }, data: marks } }
        : {}),
    })),
  }
}

/** Bytes are counted by powers of two. */
function ticks(unit: string | undefined, top: number | undefined, highest: number) {
  if (top !== undefined) return { interval: top / 4 }
  if (unit !== "bytes") return { splitNumber: 4 }
  const interval = 2 ** Math.ceil(Math.log2(highest / 4))
  return { interval, max: interval * Math.ceil(highest / interval) }
}

/** A value for each step, null where there is none: lines break there, and stacks stay in step. */
export function everyStep({ points }: Named, { from, to, step }: Range): [number, number | null][] {
  const values = new Map(points.map(([time, value]) => [Math.round((time - from) / step), value]))
  return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => {
    const value = values.get(i) ?? null
    return [from + i * step, value !== null && Number.isFinite(value) ? value : null]
  })
}

function colourOf(index: number): string {
  return palette[index % palette.length] as string
}

/** What does not fit is counted in the last row; Grafana would scroll. */
class Legend {
  readonly height: number
  private readonly shown: number
  private readonly columns: number

  constructor(
    private readonly series: readonly Named[],
    private readonly field: Field,
    { width, rows }: { width: number; rows: number },
  ) {
    this.columns = series.length > rows ? Math.max(1, Math.floor(width / narrowestColumn)) : 1
    const room = this.columns * rows
    this.shown = series.length > room ? room - 1 : series.length
    this.height = (Math.min(rows, Math.ceil(series.length / this.columns)) + 1) * rowHeight + 8
  }

  html(): string {
    const rows = this.series.slice(0, this.shown).map((one, i) => this.row(one, i))
    const rest = this.series.length - this.shown
    if (rest > 0) rows.push(`<tr><td class="faint" colspan="3">and ${rest} more</td></tr>`)
    const perColumn = Math.ceil(rows.length / this.columns)
    const head = `<tr class="faint"><th>Name</th><th>Last *</th><th>Max</th></tr>`
    const tables = Array.from({ length: this.columns }, (_, i) =>
      rows.slice(i * perColumn, (i + 1) * perColumn),
    )
    return `<div class="legend">${tables.map((part) => `<table>${head}${part.join("")}</table>`).join("")}</div>`
  }

  private row(one: Named, i: number): string {
    const shown = (value: number | undefined) => (value === undefined ? "" : format(this.field.unit, value))
    const mark = `<i style="background:${colourOf(i)}"></i>`
    return `<tr><td>${mark}${escapeHtml(one.name)}</td><td>${shown(last(one))}</td><td>${shown(most(one))}</td></tr>`
  }
}
