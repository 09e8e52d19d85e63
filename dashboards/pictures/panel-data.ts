import type { Panel, Target } from "./board.ts"
import type { Exemplar, Labels, Prometheus, Range, Series } from "./prometheus.ts"
import { type Choices, substitute } from "./variables.ts"

/** What Prometheus answered to a panel's queries. */
export interface PanelData {
  readonly range: Range
  readonly frames: readonly Frame[]
  readonly exemplars: readonly Exemplar[]
}

export interface Frame {
  readonly target: Target
  readonly series: readonly Series[]
}

export async function ask(
  prometheus: Prometheus,
  { type, targets = [] }: Panel,
  { range, choices }: { readonly range: Range; readonly choices: Choices },
): Promise<PanelData> {
  const frames: Frame[] = []
  const exemplars: Exemplar[] = []
  for (const target of targets) {
    const query = substitute(target.expr, choices)
    const series = target.instant
      ? await prometheus.instant(query, range.to)
      : await prometheus.range(query, range)
    frames.push({ target, series })
    if (type === "heatmap") exemplars.push(...(await prometheus.exemplars(query, range)))
  }
  return { range, frames, exemplars }
}

/** `{{label}}` in a legend is the label's value; a label that is not there is nothing. */
export function nameOf(legendFormat: string, labels: Labels): string {
  return legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? "")
}

export interface Named extends Series {
  readonly name: string
}

export function named({ frames }: PanelData): Named[] {
  return frames.flatMap(({ target, series }) =>
    series.map((one) => ({ ...one, name: nameOf(target.legendFormat, one.labels) })),
  )
}

export function last({ points }: Series): number | undefined {
  return points.findLast(([, value]) => value !== null)?.[1] ?? undefined
}

export function most({ points }: Series): number | undefined {
  const values = points.flatMap(([, value]) => value ?? [])
  return values.length === 0 ? undefined : values.reduce((a, b) => Math.max(a, b))
}
