import type { Field, Panel } from "./board.ts"
import { draw, escapeHtml, noData } from "./chart.ts"
import { colour, stepColour } from "./colours.ts"
import type { Box } from "./layout.ts"
import { last, type Named, named, type PanelData } from "./panel-data.ts"
import { format } from "./units.ts"

/** A `stat` panel: the last value of each series on its threshold's colour, over a line of how it came about. */
export function stat(panel: Panel, data: PanelData, { width, height }: Omit<Box, "left" | "top">): string {
  const series = named(data).filter((one) => last(one) !== undefined)
  if (series.length === 0) return noData
  const each = { width, height: height / series.length }
  return series.map((one) => value(panel, one, { ...each, alone: series.length === 1 })).join("")
}

function value(
  { fieldConfig, options }: Panel,
  one: Named,
  { width, height, alone }: { width: number; height: number; alone: boolean },
): string {
  const field = fieldConfig?.defaults ?? {}
  const shown = last(one) ?? 0
  const { text, background } = look(field, shown)
  const line = options?.graphMode === "area" ? sparkline(one, width, height * 0.45) : ""
  const name = alone ? "" : `<small>${escapeHtml(one.name)}</small>`
  const style = `height:${height}px;background:${background}`
  const size = Math.min(38, Math.floor((width - 20) / (text.length * 0.64)))
  return `<div class="stat" style="${style}">${name}<b style="font-size:${size}px">${escapeHtml(text)}</b>${line}</div>`
}

function look(
  { mappings = [], thresholds, unit, decimals }: Field,
  shown: number,
): { text: string; background: string } {
  const mapped = mappings.map(({ options }) => options[String(shown)]).find((found) => found !== undefined)
  if (mapped !== undefined) return { text: mapped.text, background: colour(mapped.color) }
  const rounded = decimals === 0 && Math.abs(shown) < 1000 ? Math.round(shown) : shown
  return { text: format(unit, rounded), background: stepColour(thresholds?.steps ?? [], shown) }
}

function sparkline({ points }: Named, width: number, height: number): string {
  const finite = points.map(([time, one]) => [time, Number.isFinite(one) ? one : null])
  const [first, end] = [points[0]?.[0], points.at(-1)?.[0]]
  return draw(
    {
      grid: { left: 0, right: 0, top: 4, bottom: 0 },
      xAxis: { type: "value", show: false, min: first, max: end },
      yAxis: { type: "value", show: false, min: 0 },
      series: [
        {
          type: "line",
          data: finite,
          showSymbol: false,
          lineStyle: { width: 1.5, color: "#ffffffb0" },
          areaStyle: { color: "#ffffff30" },
        },
      ],
    },
    width,
    height,
  )
}
