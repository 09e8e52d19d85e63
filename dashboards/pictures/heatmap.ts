import type { Panel } from "./board.ts"
import { axisText, clock, draw, noData } from "./chart.ts"
import { oranges, theme } from "./colours.ts"
import type { Box } from "./layout.ts"
import type { PanelData } from "./panel-data.ts"
import type { Exemplar, Series } from "./prometheus.ts"
import { format } from "./units.ts"

export interface Bucket {
  /** Upper bound. */
  readonly le: number
  readonly points: Series["points"]
}

/** A histogram's buckets count all that is below their bound; a heatmap shows what lies between two bounds. */
export function apart(series: readonly Series[]): Bucket[] {
  const sorted = series
    .map(({ labels, points }) => ({ le: boundOf(labels.le), points }))
    .sort((a, b) => a.le - b.le)
  return sorted.map(({ le, points }, i) => {
    const below = new Map(sorted[i - 1]?.points ?? [])
    return {
      le,
      points: points.map(([time, value]) => [time, Math.max(0, (value ?? 0) - (below.get(time) ?? 0))]),
    }
  })
}

function boundOf(le: string | undefined): number {
  return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le)
}

/** Those from the first to the last that hold something, and one on each side. */
export function inUse(buckets: readonly Bucket[]): readonly Bucket[] {
  const holds = ({ points }: Bucket) => points.some(([, value]) => (value ?? 0) > 0)
  const first = buckets.findIndex(holds)
  if (first < 0) return []
  return buckets.slice(Math.max(0, first - 1), buckets.findLastIndex(holds) + 2)
}

/** A `heatmap` panel of a histogram, with exemplars as dots. */
export function heatmap(panel: Panel, data: PanelData, { width, height }: Omit<Box, "left" | "top">): string {
  const buckets = inUse(apart(data.frames.flatMap(({ series }) => series)))
  if (buckets.length === 0) return noData
  const { from, to, step } = data.range
  const times = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step)
  const labelSeconds = Math.ceil((to - from) / 70) * 10
  const at = (time: number) => Math.round((time - from) / step)
  const cells = buckets.flatMap(({ points }, y) =>
    points.flatMap(([time, value]) => (value ? [[at(time), y, value]] : [])),
  )
  const most = cells.reduce((max, [, , value = 0]) => Math.max(max, value), 0)
  const unit = panel.fieldConfig?.defaults.unit
  const option = {
    grid: { left: 8, right: 16, top: 10, bottom: 34, containLabel: true },
    xAxis: {
      type: "category",
      data: times.map(clock),
      axisLabel: { ...axisText, interval: (i: number) => (times[i] ?? 0) % labelSeconds === 0 },
      axisTick: { show: false },
      axisLine: { lineStyle: { color: theme.grid } },
    },
    yAxis: {
      type: "category",
      data: buckets.map(({ le }) => (Number.isFinite(le) ? format(unit, le) : "+Inf")),
      axisLabel: axisText,
      axisTick: { show: false },
      axisLine: { show: false },
    },
    visualMap: {
      min: 0,
      max: most,
      seriesIndex: 0,
      orient: "horizontal",
      left: 60,
      bottom: 0,
      itemWidth: 10,
      itemHeight: 160,
      text: [format("short", most), "0"],
      textStyle: axisText,
      inRange: { color: oranges },
    },
    series: [
      { type: "heatmap", data: cells, itemStyle: { borderColor: theme.panel, borderWidth: 0.5 } },
      {
        type: "scatter",
        symbol: "diamond",
        symbolSize: 5,
        itemStyle: { color: panel.options?.exemplars?.color },
        data: data.exemplars.flatMap((one) => dot(one, { at, buckets, last: times.length - 1 })),
      },
    ],
  }
  return draw(option, width, height)
}

function dot(
  { time, value }: Exemplar,
  place: { at: (time: number) => number; buckets: readonly Bucket[]; last: number },
): [number, number][] {
  const x = place.at(time)
  const y = place.buckets.findIndex(({ le }) => value <= le)
  return x < 0 || x > place.last || y < 0 ? [] : [[x, y]]
}
