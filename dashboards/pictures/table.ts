import type { Override, Panel, Step, Transformation } from "./board.ts"
import { escapeHtml, noData } from "./chart.ts"
import { stepColour, theme } from "./colours.ts"
import { type Frame, last, type PanelData } from "./panel-data.ts"
import { format } from "./units.ts"

type Cell = string | number | undefined
type Row = ReadonlyMap<string, Cell>

/** A `table` panel: its rows after its transformations, in its order. */
export function table(panel: Panel, data: PanelData): string {
  const rows = tableRows(panel, data)
  const [first] = rows
  if (first === undefined) return noData
  const names = [...first.keys()]
  const unit = panel.fieldConfig?.defaults.unit
  const looks = names.map((name) => look(panel.fieldConfig?.overrides ?? [], name, unit))
  const side = (name: string) => (typeof first.get(name) === "number" ? ' class="number"' : "")
  const head = names.map((name) => `<th${side(name)}>${escapeHtml(name)}</th>`).join("")
  const body = rows.map(
    (row) => `<tr>${names.map((name, i) => cell(row.get(name), looks[i]!)).join("")}</tr>`,
  )
  return `<table class="rows"><tr>${head}</tr>${body.join("")}</table>`
}

export function tableRows({ transformations = [], options }: Panel, { frames }: PanelData): Row[] {
  const tables = frames.map((frame) => rowsOf(frame, frames.length === 1))
  const whole = transformations.reduce<Row[][]>((now, one) => transform(now, one), tables).flat()
  const [order] = options?.sortBy ?? []
  if (order === undefined) return whole
  const value = (row: Row) => Number(row.get(order.displayName) ?? Number.NEGATIVE_INFINITY)
  return whole.toSorted((a, b) => (order.desc ? value(b) - value(a) : value(a) - value(b)))
}

/** The columns that Grafana makes of an instant query's answer. */
function rowsOf({ target, series }: Frame, alone: boolean): Row[] {
  const value = alone ? "Value" : `Value #${target.refId}`
  return series.map((one) => {
    const labels = Object.entries(one.labels).sort(([a], [b]) => (a < b ? -1 : 1))
    return new Map<string, Cell>([["Time", one.points[0]?.[0]], ...labels, [value, last(one)]])
  })
}

function transform(tables: Row[][], { id, options }: Transformation): Row[][] {
  if (id === "joinByField") return [join(tables, options.byField ?? "")]
  if (id !== "organize") throw new Error(`the transformation ${id} is unknown`)
  const { excludeByName = {}, renameByName = {} } = options
  return tables.map((rows) =>
    rows.map((row) => {
      const kept = [...row].filter(([name]) => !excludeByName[name])
      return new Map(kept.map(([name, value]) => [renameByName[name] ?? name, value]))
    }),
  )
}

function join([first = [], ...others]: Row[][], field: string): Row[] {
  return first.flatMap((row) => {
    const partners = others.map((rows) => rows.find((other) => other.get(field) === row.get(field)))
    if (partners.includes(undefined)) return []
    return [new Map([...row, ...partners.flatMap((partner) => [...partner!])])]
  })
}

interface Look {
  readonly unit: string | undefined
  readonly steps: readonly Step[] | undefined
  readonly isLink: boolean
}

function look(overrides: readonly Override[], name: string, unit: string | undefined): Look {
  const properties = overrides
    .filter(({ matcher }) => matcher.options === name)
    .flatMap((override) => override.properties)
  const get = (id: string) => properties.find((property) => property.id === id)?.value
  const filled = get("custom.cellOptions") !== undefined
  return {
    unit: (get("unit") as string | undefined) ?? unit,
    steps: filled ? (get("thresholds") as { steps: readonly Step[] } | undefined)?.steps : undefined,
    isLink: get("links") !== undefined,
  }
}

function cell(value: Cell, { unit, steps, isLink }: Look): string {
  if (typeof value !== "number") {
    const style = isLink ? ` style="color:${theme.link}"` : ""
    return `<td${style}>${escapeHtml(value ?? "")}</td>`
  }
  const style = steps === undefined ? "" : ` style="background:${stepColour(steps, value)};color:#fff"`
  return `<td class="number"${style}>${format(unit, value)}</td>`
}
